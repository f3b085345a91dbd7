/** Moving an environment to another digest, and the way back when it does not run. */
import { type Digest, deliver, type Environment, factsOf, revertDeploy } from '#core'
import { Failure } from '#kit/errors'
import { assert, suite } from '../suite.ts'
import { createPlatform, digest, type Platform } from './platform-fixture.ts'

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

test('a first promotion that does not run leaves its environment as empty as it was', async () => {
  const platform = createPlatform()
  await move(platform, a)
  platform.broken.add(b)
  await assert.rejects(move(platform, b, { environment: 'staging' }), 'staging is empty again, by commit ddddddd of deploy')
  assert.is(platform.digestOf('staging'), undefined)
  assert.equal(
    [...(platform.commits.at(-1)?.files.keys() ?? [])].filter((path) => path.includes('staging')),
    [],
  )
  assert.is(platform.digestOf('dev'), a)
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
