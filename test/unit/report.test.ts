/** Reports from kept records: what they say, that they hold their own evidence, and that nothing of a record breaks out. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { exitCode, isFrom, type RecordedEvent, readResults, renderHtml, renderJson } from '#core'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { everyKind, everyKindPage, hostileRecord, keptRecord, oldRecord, resultOf, resultsOf } from './report-fixture.ts'
import { createTree } from './tree-fixture.ts'

const test = suite('report')

const withoutValue = (event: RecordedEvent) => (isFrom('HighErrorRate', event) ? { ...event, value: undefined } : event)

test('the page says what came of all runs, and of each', async () => {
  const results = await resultsOf(keptRecord('hpa-scales'), keptRecord('hpa-scales-no-window'))
  const page = renderHtml(results)
  assert.match(page, /<h1>All 2 runs came out as they should<\/h1>/)
  assert.match(page, /<h2 id="hpa-scales">hpa-scales<\/h2>/)
  assert.match(page, /mutant no-window <span class="chip tone-good">.*violated, as it should be/)
  assert.match(page, /no request failed: <b>0 of 1\d{3} failed<\/b>/)
  assert.match(page, /bound 2\.0 s to 39\.0 s = usage 20\.0 s \+ sync 2\.0 s \+ further step 12\.0 s \+ pod start 5\.0 s/)
  assert.match(page, /<code>npm run prove -- hpa-scales<\/code>/)
  assert.match(page, /<code>npm run prove -- hpa-scales --mutate<\/code>/)
})

test('a red run is in the headline', async () => {
  const record = keptRecord('hpa-scales-no-window')
  const { mutant: _mutant, ...asProof } = record
  const [result] = await resultsOf(asProof)
  assert.ok(result !== undefined)
  assert.is(exitCode([result]), 1)
  assert.match(renderHtml([result]), /<h1>1 of 1 run did not come out as it should<\/h1>/)
})

test('nothing of a record becomes markup, whatever it says', async () => {
  const page = renderHtml([await resultOf(hostileRecord())])
  assert.not.match(page, /<img|<script|onerror="/)
  assert.is(page.includes('\u0007'), false)
  assert.match(page, /&#34;&#62;&#60;img src=x onerror=&#34;alert/)
  assert.is(page.match(/<style>/g)?.length, 1)
  assert.is(page.match(/<\/style>/g)?.length, 1)
})

test('the page asks nobody for anything, and its policy allows its own style only', async () => {
  const page = await everyKindPage()
  const links = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, link = '']) => link)
  assert.equal(
    links.filter((link) => !/^(#|data:)/.test(link)),
    [],
  )
  assert.not.match(page.replaceAll(/base64,[^"]*/g, ''), /NaN|Infinity|undefined/)
  assert.not.match(page, /<script| style="|@import|url\(/)
  const style = /<style>(.*?)<\/style>/s.exec(page)?.[1] ?? ''
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = `default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;; img-src data:; base-uri &#39;none&#39;; form-action &#39;none&#39;`
  assert.ok(page.includes(`<meta http-equiv="Content-Security-Policy" content="${policy}">`))
})

test('every id is there once, and every link leads to one', async () => {
  const page = await everyKindPage()
  const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
  assert.is(new Set(ids).size, ids.length)
  const wanted = [...page.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id)
  assert.equal(
    wanted.filter((id) => !ids.includes(id)),
    [],
  )
})

test('a report holds its records: made again from it, it is the same', async () => {
  const [results, page] = [await everyKind(), await everyKindPage()]
  using tree = createTree({ 'report.html': page })
  const again = await readResults(stack, [join(tree.path, 'report.html')])
  assert.equal(new Set(again.map(({ record }) => JSON.stringify(record))), new Set(results.map(({ record }) => JSON.stringify(record))))
  assert.ok(renderHtml(again) === page, 'the pages differ')
})

test('a run that is one of many is drawn only where it shows something, and none is lost', async () => {
  const many = Array.from({ length: 5 }, (_, i) => ({
    ...keptRecord('hand-edit'),
    id: `run-${i}`,
    startedAt: `2026-11-26T0${i}:00:00.000Z`,
  }))
  const results = await resultsOf(...many)
  const page = renderHtml(results)
  assert.is(page.match(/class="timeline"/g)?.length, 1)
  assert.is(page.match(/application\/gzip/g)?.length, 5)
  assert.match(page, /<b class="good">5 of 5<\/b> came out as they should/)
  assert.match(page, /hand edit reverted, p95<\/span> <span class="sum">n 100: /)
})

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('records are read packed, from folders and by results.json, each once', async () => {
  using tree = createTree({ 'a.json': JSON.stringify(keptRecord('alert-fires')) })
  writeFileSync(join(tree.path, 'b.json.gz'), gzipSync(JSON.stringify(keptRecord('hpa-scales'))))
  const folder = await readResults(stack, [tree.path])
  assert.equal(folder.map(({ record }) => record.scenario).sort(), ['alert-fires', 'hpa-scales'])
  tree.write('list/results.json', renderJson(folder))
  assert.is((await readResults(stack, [join(tree.path, 'list', 'results.json'), tree.path])).length, 2)
})

test('an old record stays readable: without environment and digest, of a scenario or mutant that is gone, with other steps', async () => {
  const old = keptRecord('alert-fires')
  assert.is(old.environment, undefined)
  const reasons = await Promise.all(
    [
      { ...old, scenario: 'gone' },
      { ...old, mutant: 'gone' },
      { ...old, rounds: old.rounds.map((round) => ({ ...round, events: round.events.map(withoutValue) })) },
    ].map(async (record) => {
      const result = await resultOf(record)
      assert.match(renderHtml([result]), /npm run prove -- (gone|alert-fires)/)
      return result.judgement.reason
    }),
  )
  assert.is(reasons[0], 'not judged: this version does not know this scenario')
  assert.is(reasons[1], 'not judged: this version does not know this mutant')
  assert.match(reasons[2] ?? '', /^not judged: the record lacks what this version reads/)
})

test('a record whose scenario has other steps by now is shown, and nothing is claimed for it', async () => {
  const result = await resultOf(oldRecord())
  assert.is(result.judgement.verdict, 'no data')
  const page = renderHtml([result])
  assert.match(page, /no data<\/span> round 1: &#39;load&#39; was not begun/)
  assert.match(page, /container_memory_working_set_bytes/)
})

test('what is no record is refused in one sentence', async () => {
  using tree = createTree({
    'no.json': '{',
    'other.json': '{"a":1}',
    'new.json': '{"format":3,"scenario":"x","rounds":[]}',
    'page.html': '<!doctype html>',
  })
  const refused = async (name: string, why: string) => assert.rejects(readResults(stack, [join(tree.path, name)]), why)
  await refused('missing.json', 'there is no file')
  await refused('no.json', 'is no JSON')
  await refused('other.json', 'is no record of a run')
  await refused('new.json', 'has format 3, and this version reads 2')
  await refused('page.html', 'holds no record')
})

test.run()
