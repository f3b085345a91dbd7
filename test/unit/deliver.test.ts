/** Moving an environment to another digest, and the way back when it does not run. */
import { applicationPath, type Digest, deliver, deliverAgain, type Environment, factsOf, revertDeploy, sourceRevisionIn } from '#core'
import { Failure } from '#kit/errors'
import { assert, suite } from '../suite.ts'
import { createPlatform, digest, KEPT, type Platform } from './platform-fixture.ts'

const test = suite('deliver')
const [a, b, c] = [digest('a'), digest('b'), digest('c')]

const move = ({ delivery }: Platform, to: Digest, { environment = 'dev' as Environment, revert = true } = {}) =>
  deliver(delivery, { environment, digest: to, message: `Move to ${to.slice(7, 8)}`, revert })

test('deliver() commits the digest with what was Healthy before, and returns once it runs', async () => {
  const platform = createPlatform()
  await move(platform, a)
  const { sha } = await move(platform, b)
  assert.is(platform.digestOf('dev'), b)
  const last = platform.commits.at(-1)
  assert.is(last?.sha, sha)
  assert.equal(factsOf(last?.message ?? ''), { healthy: { dev: a } })
})

test('deliver() takes back what does not run, says what runs again, and why', async () => {
  const platform = createPlatform()
  await move(platform, a)
  platform.broken.add(b)
  const error = await assert.rejects(move(platform, b), /^Cannot keep/)
  assert.instance(error, Failure)
  assert.is(
    error.message,
    `Cannot keep sha256:${'b'.repeat(12)} in dev: Waiting for dev to run sha256:${'b'.repeat(12)} is of no use: Pod 'dev/service-1' cannot pull its image 'holdfast/service': not found. dev runs sha256:${'a'.repeat(12)} again, by commit ddddddd of deploy`,
  )
  assert.is(platform.digestOf('dev'), a)
  assert.match(platform.commits.at(-1)?.message ?? '', /^Revert dev to sha256:a{12}\n\nsha256:b{12} does not run: /)
})

test('deliver() leaves it where it is with --no-revert', async () => {
  const platform = createPlatform()
  await move(platform, a)
  platform.broken.add(b)
  await assert.rejects(move(platform, b, { revert: false }), /^Waiting for dev to run sha256:b{12} is of no use/)
  assert.is(platform.digestOf('dev'), b)
})

test('deliver() goes back over a version that was not Healthy either', async () => {
  const platform = createPlatform()
  await move(platform, a)
  platform.broken.add(b).add(c)
  await assert.rejects(move(platform, b, { revert: false }), 'of no use')
  await assert.rejects(move(platform, c), 'dev runs sha256:aaaaaaaaaaaa again')
  assert.is(platform.digestOf('dev'), a)
})

test('a first promotion that does not run leaves nothing of its environment but the project', async () => {
  const platform = createPlatform()
  await move(platform, a)
  platform.broken.add(b)
  await assert.rejects(move(platform, b, { environment: 'staging' }), 'staging is empty again, by commit ddddddd of deploy')
  assert.is(platform.digestOf('staging'), undefined)
  assert.equal(
    [...(platform.commits.at(-1)?.files.keys() ?? [])].filter((path) => path.includes('staging')),
    ['applications/appproject.argocd.services-staging.yaml'], // until its Application has ended, which needs it
  )
  assert.is(platform.digestOf('dev'), a)
})

// ── Where a canary comes first ──────────────────────────────────────────────────────────────────────────────────────

const STAGING = { part: 'service', environment: 'staging' } as const
const revision = ({ commits }: Platform) => sourceRevisionIn(commits.at(-1)?.files ?? new Map(), STAGING)
const toStaging = ({ delivery }: Platform, to: Digest, sourceRevision?: string) =>
  deliver(delivery, {
    ...STAGING,
    digest: to,
    message: 'Promote',
    revert: true,
    ...(sourceRevision === undefined ? {} : { sourceRevision }),
  })

test('a canary is asked while it is waited for; a first version has none, and dev has none', async () => {
  const platform = createPlatform()
  await move(platform, a)
  await toStaging(platform, a)
  assert.equal(platform.asked, [])
  await toStaging(platform, b)
  assert.equal(platform.asked, ['staging'])
})

test('a canary that is aborted is taken back at once, with the chart that it came with', async () => {
  const platform = createPlatform()
  await toStaging(platform, a, KEPT)
  platform.bad.add(b)
  const error = await assert.rejects(toStaging(platform, b, 'f'.repeat(40)), /^Cannot keep/)
  assert.is(
    error.message,
    `Cannot keep sha256:${'b'.repeat(12)} in staging: Waiting for staging to run sha256:${'b'.repeat(12)} is of no use: Rollout 'staging/service' took its canary back: RolloutAborted: too many errors. staging runs sha256:${'a'.repeat(12)} again, by commit ddddddd of deploy`,
  )
  assert.equal([platform.digestOf('staging'), revision(platform)], [a, KEPT])
})

test('a chart that does not run is taken back with its digest left alone, also after an interrupted command', async () => {
  const [platform, other] = [createPlatform(), 'f'.repeat(40)]
  await toStaging(platform, a, KEPT)
  platform.badCharts.add(other)
  await assert.rejects(toStaging(platform, a, other), 'staging runs sha256:aaaaaaaaaaaa again')
  assert.equal([platform.digestOf('staging'), revision(platform)], [a, KEPT])
  const move = { ...STAGING, digest: a, message: 'x', revert: false, sourceRevision: other }
  await assert.rejects(deliver(platform.delivery, move), 'took its canary back')
  await assert.rejects(deliverAgain(platform.delivery, { ...move, revert: true }), 'staging runs sha256:aaaaaaaaaaaa again')
  assert.equal([platform.digestOf('staging'), revision(platform)], [a, KEPT])
})

test('a digest without a chart leaves the chart as it was promoted', async () => {
  const platform = createPlatform()
  await toStaging(platform, a, KEPT)
  await toStaging(platform, b)
  assert.equal([platform.digestOf('staging'), revision(platform)], [b, KEPT])
  assert.equal([...(platform.commits[1]?.files.keys() ?? [])].includes(applicationPath('service-staging')), true)
})

test('deliverAgain() takes back what an interrupted command left, and does nothing where it runs', async () => {
  const platform = createPlatform()
  await toStaging(platform, a)
  platform.bad.add(b)
  await assert.rejects(deliver(platform.delivery, { ...STAGING, digest: b, message: 'x', revert: false }), 'took its canary back')
  await assert.rejects(deliverAgain(platform.delivery, { ...STAGING, digest: b, revert: true }), 'staging runs sha256:aaaaaaaaaaaa again')
  const { length } = platform.commits
  platform.asked.length = 0
  await deliverAgain(platform.delivery, { ...STAGING, digest: a, revert: true })
  assert.equal([platform.commits.length, platform.asked], [length, []])
})

test('revertDeploy() reverts nothing where nobody knows what was Healthy', async () => {
  const platform = createPlatform()
  platform.broken.add(a).add(b)
  await assert.rejects(move(platform, a, { revert: false }), 'of no use')
  await assert.rejects(move(platform, b), 'Nothing was reverted: no version of dev is known to have been Healthy')
  assert.is(platform.digestOf('dev'), b)
  const cause = new Failure({ what: 'x', why: 'y' })
  assert.is(await revertDeploy(platform.delivery, { environment: 'dev', failing: b, cause }), undefined)
})

test.run()
