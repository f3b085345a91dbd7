/** What commits of `deploy` say of themselves, and where that leads back to. */
import { type Deployed, type Digest, type Environment, factsOf, lastHealthy, shortDigest, withFacts } from '#core'
import { assert, suite } from '../suite.ts'
import { digest } from './platform-fixture.ts'

const test = suite('history')

const SHA = 'ab'.repeat(20)

test('facts are trailers of a commit message, and are read back as they were', () => {
  const facts = {
    source: { sha: SHA, clean: true },
    images: [{ name: 'holdfast/service', digest: digest('a') }],
    healthy: { dev: digest('b'), prod: digest('c') },
  }
  const message = withFacts('Deploy', facts)
  assert.is(
    message,
    `Deploy\n\nSource: ${SHA}\nImage: holdfast/service@${digest('a')}\nHealthy: dev ${digest('b')}\nHealthy: prod ${digest('c')}`,
  )
  assert.equal(factsOf(`${message}\n`), facts)
})

test('an image of a working tree with changes is not the image of its commit', () => {
  const message = withFacts('Deploy', { source: { sha: SHA, clean: false } })
  assert.is(message, `Deploy\n\nSource: ${SHA} with changes`)
  assert.equal(factsOf(message), { source: { sha: SHA, clean: false } })
})

test('a message without facts stays as it is, and what others write is none', () => {
  assert.is(withFacts('Proof: x', {}), 'Proof: x')
  assert.equal(factsOf('Proof: x\n\nSource: main\nImage: a@b\nHealthy: dev sha256:12'), {})
})

/** Newest first. */
const history = (...entries: readonly [ran: Digest | undefined, healthy?: Digest, environment?: Environment][]): Deployed[] =>
  entries.map(([ran, healthy, environment = 'dev'], i) => ({
    sha: String(i),
    title: '',
    digest: ran,
    files: new Map(),
    facts: healthy === undefined ? {} : { healthy: { [environment]: healthy } },
  }))
const [a, b, c] = [digest('a'), digest('b'), digest('c')]

test('lastHealthy() is the newest digest that was Healthy, and never the failing one', () => {
  assert.is(lastHealthy(history([c, b], [b, a], [a]), 'dev', c), b)
  assert.is(lastHealthy(history([c, c], [b, a], [a]), 'dev', c), a)
  assert.is(lastHealthy(history([c], [b], [a, a]), 'dev', c), a, 'what ran between and was not Healthy is passed over')
})

test('lastHealthy() knows an environment that was empty before, and says when it knows nothing', () => {
  assert.is(lastHealthy(history([c], [c], [undefined]), 'dev', c), 'nothing')
  assert.is(lastHealthy(history([c], [b], [undefined]), 'dev', c), undefined)
  assert.is(lastHealthy(history([c]), 'dev', c), undefined)
  assert.is(lastHealthy(history([c, a, 'staging'], [undefined]), 'dev', c), 'nothing', 'another environment says nothing of it')
})

test('shortDigest() is what a person reads', () => {
  assert.is(shortDigest(digest('a')), `sha256:${'a'.repeat(12)}`)
})

test.run()
