/** The dashboards' queries as Prometheus itself reads them: it knows types, which a grammar does not. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { exec } from '#kit/exec'
import { tool } from '#kit/tools'
import { queriesOf, readDashboards } from '../../alerts/dashboards.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'

const test = suite('dashboards')

/** The first use may build promtool. */
const BUILD = { timeoutMs: 900_000 }

let folder: string
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-dashboards-'))
})
test.after(() => rm(folder, { recursive: true, force: true }))

/** promtool checks rules; a query is one that records. */
async function check(name: string, queries: readonly string[]): Promise<{ exitCode: number; said: string }> {
  const rules = queries.map((expr, i) => ({ record: `dashboard:query:${i}`, expr }))
  const file = join(folder, `${name}.yaml`)
  await writeFile(file, stringify({ groups: [{ name: 'queries', rules }] }))
  const { exitCode, stdout, stderr } = await exec(await tool('promtool'), ['check', 'rules', file], { accept: [0, 1] })
  return { exitCode, said: stdout + stderr }
}

for (const { name, speedup } of Object.values(stack.timing)) {
  test(
    `Prometheus accepts every query on the clock of ${name}`,
    async () => {
      const view = { speedup, variables: { namespace: 'dev|staging', node: '.+' } }
      const queries = [...readDashboards().values()].flatMap((dashboard) => queriesOf(dashboard, view)).map(({ promql }) => promql)
      const { exitCode, said } = await check(name, queries)
      assert.is(exitCode, 0, said)
      assert.match(said, `SUCCESS: ${queries.length} rules found`)
    },
    BUILD,
  )
}

test(
  'a query that is PromQL by its grammar only is refused',
  async () => {
    const { exitCode, said } = await check('wrong', ['rate(up)'])
    assert.is(exitCode, 1)
    assert.match(said, /expected type range vector/)
  },
  BUILD,
)

test.run()
