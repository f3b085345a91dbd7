/** `npm run report` as a person runs it: what it says, where it writes, and its exit codes. */
import { join } from 'node:path'
import { root } from '#kit/paths'
import { assert, suite } from '../suite.ts'
import { keptRecord, RECORDS } from './report-fixture.ts'
import { createTree, runFile } from './tree-fixture.ts'

const test = suite('report command')

/** Each test starts processes, which takes its time on a busy machine. */
const PROCESSES = { timeoutMs: 50_000 }
const COMMAND = join(root, 'scripts', 'report.ts')

test(
  'npm run report makes the page of records, and says where it is',
  async () => {
    using tree = createTree()
    const out = join(tree.path, 'it.html')
    const { exitCode: code, output } = await runFile(COMMAND, { args: [join(RECORDS, 'alert-fires.json'), '--out', out] })
    assert.is(code, 0)
    assert.is(output, `The run came out as it should\nReport: ${out}`)
  },
  PROCESSES,
)

test(
  'npm run report refuses what it cannot read with exit code 2',
  async () => {
    const [missing, one] = await Promise.all([
      runFile(COMMAND, { args: ['/no/such/record.json'] }),
      runFile(COMMAND, { args: ['--compare', RECORDS] }),
    ])
    assert.equal([missing.exitCode, missing.output], [2, "Cannot make a report: there is no file '/no/such/record.json'"])
    assert.equal([one.exitCode, one.output], [2, 'Cannot compare: two runs are compared, and 1 were named. Name two'])
  },
  PROCESSES,
)

test(
  'npm run report -- --compare is 1 where a verdict got worse',
  async () => {
    using tree = createTree()
    const { mutant: _mutant, ...worse } = keptRecord('hpa-scales-no-window')
    tree.write('worse.json', JSON.stringify(worse))
    const args = ['--compare', join(RECORDS, 'hpa-scales.json'), join(tree.path, 'worse.json'), '--out', join(tree.path, 'it.html')]
    const { exitCode: code, output } = await runFile(COMMAND, { args })
    assert.is(code, 1)
    assert.match(output, /^✗ hpa-scales: 1 of 1 good → 0 of 1 good \(worse\)$/m)
  },
  PROCESSES,
)

test.run()
