/** Which commit a person means, and which image that is. */
import { type AskedCommit, askForCommit, type Deployed, knownImage, nameCommit, type SourceTree } from '#core'
import { UserError } from '#kit/errors'
import { assert, suite } from '../suite.ts'
import { digest } from './platform-fixture.ts'

const test = suite('rollback')

const [FIRST, SECOND, THIRD] = ['abcd1', 'abcd2', 'ef012'].map((start) => start.padEnd(40, '0')) as [string, string, string]
const source = { find: async (id: string) => [FIRST, SECOND, THIRD].filter((sha) => sha.startsWith(id)) } as unknown as SourceTree
const IMAGE = 'holdfast/service'

async function refused(text: string): Promise<string> {
  const error = await assert.rejects(askForCommit(source, text, 'dev'), /^Cannot roll dev back/)
  assert.instance(error, UserError)
  return error.message
}

test('askForCommit() refuses what is no id, and what begins several commits', async () => {
  const noId = (text: string) =>
    `Cannot roll dev back to '${text}': it is no id of a commit, which is 4 to 40 hexadecimal digits. git log --oneline shows the ids of yours`
  for (const text of ['main', 'abc', '', 'HEAD~1', '--help', 'f'.repeat(41)]) assert.is(await refused(text), noId(text))
  assert.is(
    await refused('abcd'),
    "Cannot roll dev back to 'abcd': 2 commits begin so: abcd10000000, abcd20000000. Name more of its letters",
  )
  assert.equal((await askForCommit(source, 'EF01', 'dev')).found, [THIRD])
})

const deployed = (sha: string, changes: Partial<Deployed> = {}): Deployed => ({
  sha: sha.padEnd(40, '9'),
  title: '',
  digest: digest('a'),
  files: new Map(),
  facts: {},
  ...changes,
})

test('nameCommit() finds a commit of the repository or of deploy, and refuses one that is unknown or in both', async () => {
  const history = [deployed('ef011'), deployed('77777')]
  const named = async (text: string) => nameCommit(await askForCommit(source, text, 'prod'), history)
  assert.equal(await named('ef012'), { kind: 'source', sha: THIRD })
  assert.equal(await named('7777'), { kind: 'deploy', deployed: history[1] })
  await assert.rejects(
    named('ef01'),
    "Cannot roll prod back to 'ef01': 2 commits begin so: ef0120000000, ef0119999999. Name more of its letters",
  )
  const unknown = await assert.rejects(named('1234'), 'neither')
  assert.is(
    unknown.message,
    "Cannot roll prod back to '1234': neither your repository nor the last 200 commits of deploy have such a commit. git log --oneline shows the ids of yours",
  )
  assert.instance(unknown, UserError)
})

const built = (sha: string, letter: string, clean = true): Partial<Deployed> => ({
  facts: { source: { sha, clean }, images: [{ name: IMAGE, digest: digest(letter) }] },
})
const asked: AskedCommit & { image: string } = { text: 'ef012', environment: 'dev', found: [], image: IMAGE }

test('knownImage() of a commit of the repository is what was built of exactly its files', () => {
  const history = [deployed('1', built(FIRST, 'b')), deployed('2', built(THIRD, 'c', false)), deployed('3', built(THIRD, 'd'))]
  assert.equal(knownImage({ kind: 'source', sha: THIRD }, history, asked), { references: [THIRD, digest('d')], builtOf: THIRD })
  assert.equal(knownImage({ kind: 'source', sha: SECOND }, history, asked), { references: [SECOND], builtOf: SECOND })
})

test('knownImage() of a commit of deploy is what the environment ran, with what it was built of where that is known', () => {
  const history = [deployed('1', { digest: digest('b') }), deployed('2', built(FIRST, 'b')), deployed('3', { digest: digest('e') })]
  const [first, , third] = history as [Deployed, Deployed, Deployed]
  assert.equal(knownImage({ kind: 'deploy', deployed: first }, history, asked), { references: [digest('b'), FIRST], builtOf: FIRST })
  assert.equal(knownImage({ kind: 'deploy', deployed: third }, history, asked), { references: [digest('e')] })
  assert.throws(
    () => knownImage({ kind: 'deploy', deployed: deployed('4', { digest: undefined }) }, history, asked),
    /^Cannot roll dev back to 'ef012': dev ran nothing at that commit of deploy\. Name another commit$/,
  )
})

test.run()
