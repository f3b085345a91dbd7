/** Load before and after it is sent: profiles, plans, the Job, lines, seconds, and what a run was worth. */
import {
  type LoadProfile,
  type LoadSecond,
  type LoadSummary,
  loadExitCode,
  plannedRequests,
  renderSecond,
  renderSummary,
  selectProfile,
  unmeasured,
} from '#core'
import { jobOf, jobRef } from '../../load/job.ts'
import { parseLine, type RequestLine } from '../../load/lines.ts'
import { planOf } from '../../load/plan.ts'
import { failing, profiles, saturating } from '../../load/profiles.ts'
import { createSeconds } from '../../load/seconds.ts'
import { assert, suite } from '../suite.ts'

const TARGET = 'http://service.dev.svc.cluster.local'
const stage = { name: 'one', forMs: 2000, ratePerS: 10, requests: [{ path: '/a' }] }
const profileOf = (...stages: LoadProfile['stages']): LoadProfile => ({ name: 'it', about: '', stages })

const plans = suite('load plans')

plans('stages follow one another, each with enough users for the slowest answers', () => {
  const { options } = planOf(profileOf(stage, { ...stage, name: 'two', fromPerS: 2, ratePerS: 40 }), TARGET)
  assert.equal(options.scenarios.one, {
    executor: 'constant-arrival-rate',
    rate: 10,
    duration: '2000ms',
    startTime: '0ms',
    gracefulStop: '7s',
    timeUnit: '1s',
    preAllocatedVUs: 56,
    maxVUs: 56,
  })
  assert.equal(options.scenarios.two, {
    executor: 'ramping-arrival-rate',
    startRate: 2,
    stages: [{ target: 40, duration: '2000ms' }],
    startTime: '2000ms',
    gracefulStop: '7s',
    timeUnit: '1s',
    preAllocatedVUs: 221,
    maxVUs: 221,
  })
  assert.ok(options.noConnectionReuse)
  assert.is(options.maxRedirects, 0)
})

plans('the planned requests are counted, also of a ramp', () => {
  assert.is(plannedRequests(profileOf(stage, { ...stage, name: 'two', fromPerS: 2, ratePerS: 40 })), 20 + 42)
})

plans('weights become shares; the last request always matches', () => {
  const requests = [
    { path: '/a', weight: 3 },
    { path: '/b', expect: 404 },
  ]
  assert.equal(planOf(profileOf({ ...stage, requests }), TARGET).stages.one, [
    { path: '/a', headers: {}, expect: 200, upTo: 0.75 },
    { path: '/b', headers: {}, expect: 404, upTo: 1 },
  ])
})

const REFUSED: readonly (readonly [string, LoadProfile, RegExp])[] = [
  ['a name that is no object name', { ...profileOf(stage), name: 'It is' }, /'It is': its name is not kebab-case/],
  ['no stage', profileOf(), /it has no stage/],
  ['two stages of one name', profileOf(stage, stage), /two of its stages have one name/],
  ['an hour and more', profileOf({ ...stage, forMs: 3_600_000 }, { ...stage, name: 'two' }), /it runs for 3602000 ms/],
  ['a stage of no time', profileOf({ ...stage, forMs: 0 }), /stage 'one' lasts 0 ms/],
  ['half a request', profileOf({ ...stage, ratePerS: 0.5 }), /stage 'one' has a rate of 0.5/],
  ['an attack', profileOf({ ...stage, ratePerS: 101 }), /has a rate of 101: .* 1 to 100/],
  ['a ramp from nothing', profileOf({ ...stage, fromPerS: 0 }), /begins at 0/],
  ['no request', profileOf({ ...stage, requests: [] }), /has no request/],
  ['another host', profileOf({ ...stage, requests: [{ path: '//example.com/' }] }), /asks for '\/\/example.com\/'/],
  ['a host glued on', profileOf({ ...stage, requests: [{ path: '.example.com/' }] }), /asks for '.example.com\/'/],
  ['a weight of nothing', profileOf({ ...stage, requests: [{ path: '/', weight: 0 }] }), /the weight 0/],
  ['no such status', profileOf({ ...stage, requests: [{ path: '/', expect: 99 }] }), /the status 99/],
]
for (const [name, profile, message] of REFUSED) plans(`${name} is refused`, () => assert.throws(() => planOf(profile, TARGET), message))

plans('a target outside the cluster is refused', () => {
  for (const target of ['http://example.com', 'https://service.dev.svc.cluster.local', 'http://a.b.svc.cluster.local.example.com', '']) {
    assert.throws(() => planOf(profileOf(stage), target), /is not a service of the cluster/)
  }
})

plans('every profile has a plan, and a name and a sentence of its own', () => {
  for (const profile of profiles) assert.ok(planOf(profile, TARGET).options)
  assert.is(new Set(profiles.map(({ name }) => name)).size, profiles.length)
  assert.ok(profiles.every(({ about }) => about.endsWith('.')))
})

plans('builders leave out what has no share', () => {
  assert.equal(failing(0), [{ path: '/api/products', weight: 1 }])
  assert.equal(
    failing(1).map(({ expect }) => expect),
    [500],
  )
  assert.equal(
    failing(0.25).map(({ weight }) => weight),
    [0.75, 0.25],
  )
  const names = (lightMs: number) => saturating({ name: 'x', heavyMs: 1000, lightMs }).stages.map((each) => each.name)
  assert.equal([names(1000), names(0)], [['heavy', 'light'], ['heavy']])
})

plans('a profile is found by its name, and a typo is answered with the nearest', () => {
  assert.is(selectProfile(profiles, 'spike').name, 'spike')
  assert.throws(() => selectProfile(profiles, 'spik'), /there is no profile 'spik'. Did you mean 'spike'\? Known: steady, ramp/)
  assert.throws(() => selectProfile(profiles, undefined), /no profile is named. Known: steady/)
})

plans('the Job ends and vanishes by itself, runs once, and holds script and plan', () => {
  const plan = planOf(profileOf(stage), TARGET)
  const job = jobOf(profileOf(stage), { image: 'k6@sha256:1', script: 'export default 1', plan })
  assert.is(job.metadata.name, jobRef({ name: 'it' }).name)
  const { backoffLimit, activeDeadlineSeconds, ttlSecondsAfterFinished, template } = job.spec
  assert.equal([backoffLimit, activeDeadlineSeconds, ttlSecondsAfterFinished], [0, 62, 30])
  assert.is(template.spec.restartPolicy, 'Never')
  assert.is(template.spec.containers[0].image, 'k6@sha256:1')
  assert.is(template.spec.containers[0].resources.limits.cpu, undefined)
  const { annotations } = template.metadata
  const fields = template.spec.volumes[0].downwardAPI.items.map(({ path, fieldRef }: { path: string; fieldRef: { fieldPath: string } }) => [
    path,
    annotations[/'(.+)'/.exec(fieldRef.fieldPath)?.[1] ?? ''],
  ])
  assert.equal(fields, [
    ['script.k6.ts', 'export default 1'],
    ['plan.json', JSON.stringify(plan)],
  ])
})

plans.run()

const lines = suite('load lines')

lines('a request, k6’s own count, and its words are told apart', () => {
  assert.equal(parseLine('[1700,"one",200,12,"pod-a","v1",true,""]'), request({ atMs: 1700, tookMs: 12 }))
  const counts = { kind: 'counts', requests: 3, iterations: 3, dropped: 1 }
  assert.equal(parseLine('{"requests":3,"iterations":3,"dropped":1}'), counts)
  for (const text of ['Request Failed', '', '[1,2]', '[', '{"requests":"3"}', '{}', 'null', '[1,"one",200,12,"p","v",1,""]']) {
    assert.equal(parseLine(text), { kind: 'word', text })
  }
})

lines('errors of one kind are one error, whatever their ports', () => {
  const errorOf = (error: string) => (parseLine(JSON.stringify([1, 'one', 0, 12, '', '', false, error])) as RequestLine).error
  assert.is(errorOf('read tcp 10.42.0.9:41234->10.43.1.2:80: read: connection reset by peer'), 'read tcp: read: connection reset by peer')
  assert.is(errorOf('dial tcp 10.43.1.2:80: connect: connection refused'), 'dial tcp: connect: connection refused')
  assert.is(errorOf('request timeout'), 'request timeout')
})

lines.run()

function request(changes: Partial<RequestLine> = {}): RequestLine {
  return { kind: 'request', atMs: 0, stage: 'one', status: 200, tookMs: 1, pod: 'pod-a', version: 'v1', ok: true, error: '', ...changes }
}

/** What is told of these requests, as `[end, stage, requests]`; `settled` also what is held. */
function told(requests: readonly Partial<RequestLine>[], { settled = true } = {}): (readonly [number, string, number])[] {
  const out: (readonly [number, string, number])[] = []
  const seconds = createSeconds((second, atMs) => out.push([atMs, second.stage, second.requests]))
  for (const each of requests) seconds.add(request(each))
  if (settled) seconds.settle()
  return out
}

const seconds = suite('load seconds')

seconds('a second is told by its end once a later line shows that it is over', () => {
  assert.equal(told([{ atMs: 1100 }, { atMs: 1900 }, { atMs: 2400 }], { settled: false }), [])
  assert.equal(told([{ atMs: 1100 }, { atMs: 1900 }, { atMs: 2400 }, { atMs: 2500 }], { settled: false }), [[2000, 'one', 2]])
})

seconds('lines of a few milliseconds’ disorder count where they belong', () => {
  assert.equal(told([{ atMs: 1999 }, { atMs: 2003 }, { atMs: 1998 }, { atMs: 2600 }]), [
    [2000, 'one', 2],
    [3000, 'one', 2],
  ])
})

seconds('a line that comes too late is counted in the first second that was not told, and the order stays', () => {
  assert.equal(told([{ atMs: 1100 }, { atMs: 3600 }, { atMs: 1200 }, { atMs: 2100 }]), [
    [2000, 'one', 1],
    [3000, 'one', 2],
    [4000, 'one', 1],
  ])
})

seconds('after a settled silence nothing is told twice', () => {
  const out: number[] = []
  const each = createSeconds((_, atMs) => out.push(atMs))
  each.add(request({ atMs: 1100 }))
  each.settle()
  each.settle()
  each.add(request({ atMs: 1200 }))
  each.settle()
  assert.equal(out, [2000, 3000])
})

seconds('two stages in one second are two, and a second without an end of a request is none', () => {
  assert.equal(told([{ atMs: 1100 }, { atMs: 1200, stage: 'two' }, { atMs: 1300 }, { atMs: 5100, stage: 'two' }]), [
    [2000, 'one', 2],
    [2000, 'two', 1],
    [6000, 'two', 1],
  ])
})

seconds('a second holds counts by status, pod, version and error, and nearest-rank percentiles', () => {
  const out: LoadSecond[] = []
  const each = createSeconds((second) => out.push(second))
  for (let i = 1; i <= 20; i++) each.add(request({ tookMs: i, pod: i % 2 === 0 ? 'pod-a' : 'pod-b' }))
  each.add(request({ status: 500, ok: false, tookMs: 21, version: 'v2' }))
  each.add(request({ status: 0, ok: false, tookMs: 5000, pod: '', version: '', error: 'request timeout' }))
  each.settle()
  assert.equal(out, [
    {
      stage: 'one',
      requests: 22,
      failed: 2,
      byStatus: { 0: 1, 200: 20, 500: 1 },
      byPod: { 'pod-a': 11, 'pod-b': 10 },
      byVersion: { v1: 20, v2: 1 },
      byError: { 'request timeout': 1 },
      p50Ms: 11,
      p95Ms: 21,
      maxMs: 5000,
    },
  ])
})

seconds('nothing is told of nothing', () => assert.equal(told([]), []))

seconds.run()

const worth = suite('the worth of a load')
const good: LoadSummary = { profile: 'it', planned: 1000, requests: 1000, dropped: 0, failed: 0, exitCode: 0 }
const second: LoadSecond = {
  stage: 'spike',
  requests: 60,
  failed: 0,
  byStatus: { 200: 60 },
  byPod: { a: 30, b: 30 },
  byVersion: { v1: 60 },
  p50Ms: 3,
  p95Ms: 9,
  maxMs: 12,
}

worth('measured is only what the generator sent, counted and ended well', () => {
  assert.is(unmeasured(good), undefined)
  assert.is(unmeasured({ ...good, requests: 950, dropped: 10 }), undefined)
  assert.match(String(unmeasured({ ...good, requests: 949 })), 'only 949 of 1000')
  assert.match(String(unmeasured({ ...good, dropped: 11 })), '11 of 1000 requests could not be sent in time')
  assert.match(String(unmeasured({ ...good, exitCode: 107 })), 'exit code 107')
  assert.is(unmeasured({ ...good, exitCode: -1, problem: 'its pod went away' }), 'its pod went away')
  assert.match(String(unmeasured({ ...good, planned: 0, requests: 0 })), 'only 0 of 0')
})

worth('its exit code: 0 all well, 1 something failed, 3 nothing measured', () => {
  assert.is(loadExitCode(good), 0)
  assert.is(loadExitCode({ ...good, failed: 1 }), 1)
  assert.is(loadExitCode({ ...good, failed: 1, exitCode: 137 }), 3)
})

worth('lines for a person', () => {
  assert.is(renderSecond(second, 12_000), '  12 s  spike       60 requests   0 failed  p95 9 ms     2 pods')
  const bad = { ...second, failed: 3, byStatus: { 0: 2, 200: 57, 503: 1 }, byError: { 'request timeout': 2 } }
  assert.match(renderSecond(bad, 1000), /3 failed .* 2 pods {2}200: 57, 503: 1, request timeout: 2$/)
  assert.is(renderSummary(good), '✓ it: 1000 of 1000 requests sent, 0 dropped, 0 failed')
  assert.match(renderSummary({ ...good, failed: 2 }), /^✗ it: 1000 .* 2 failed$/)
  assert.match(renderSummary({ ...good, exitCode: -1, problem: 'it was stopped' }), /^✗ it: not measured: it was stopped: /)
})

worth.run()
