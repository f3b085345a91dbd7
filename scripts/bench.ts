/** `npm run bench`: how long things take here, and whether the budgets are kept. */

import {
  benchPath,
  benchTable,
  chooseMeasures,
  listMeasures,
  measuredOn,
  overBudget,
  readBench,
  rewriteReadme,
  runBench,
  withTable,
} from '#core'
import { type JsonFlags, wholeNumber, withJson } from '#kit/flags'
import { type Invocation, main, print } from '#kit/main'
import { namesIn } from '#kit/pick'
import { stack } from '../holdfast.config.ts'

interface Flags extends JsonFlags {
  readonly only?: readonly string[]
  readonly runs?: number
  readonly cold: boolean
  readonly table?: boolean
  readonly list?: boolean
  readonly dryRun?: boolean
}

await main<Flags>({
  name: 'bench',
  summary:
    'Measures how long things take, on a cluster of its own while yours rests, adds it to docs/bench.json, and says which budgets are not kept.',
  example: 'npm run bench -- --only warm,rerun --runs 3',
  declare: (command) =>
    withJson(command)
      .option('--only <measures>', 'these alone, separated by commas', namesIn)
      .option('--runs <n>', 'how often each (default as --list says)', wholeNumber(1, 100))
      .option('--cold', 'also what removes the image store and makes every image anew: 20 minutes', false)
      .option('--table', 'write README’s table from docs/bench.json, and measure nothing')
      .option('--list', 'list the measures')
      .option('--dry-run', 'say what would be measured'),
  run,
})

async function run(x: Invocation<Flags>): Promise<number> {
  const { only, cold, json = false, table, list, dryRun } = x.flags
  if (list) return print(listMeasures({ json }))
  if (table) return writeTable(x)
  const measures = chooseMeasures({ cold, ...(only === undefined ? {} : { only }) })
  if (dryRun) return print(measures.map(({ name, runs, about }) => `${name}, ${x.flags.runs ?? runs} times: ${about}`).join('\n'))
  const { progress, signal } = x
  const { runs } = x.flags
  const done = await runBench(stack, { measures, progress, signal, ...(runs === undefined ? {} : { runs }) })
  const all = done.results.machines.filter((machine) => machine.class === done.machine)
  const measured = all.flatMap(measuredOn).filter(({ series }) => done.measured.includes(series.measure))
  const over = measured.filter((each) => overBudget(each).length > 0)
  print(json ? JSON.stringify({ ...done, over: over.map(({ figure }) => figure.id) }) : benchTable({ version: 1, machines: all }))
  for (const { figure } of over) progress.say(`A budget is not kept: ${figure.what}`)
  return over.length === 0 ? 0 : 1
}

async function writeTable({ progress }: Invocation<Flags>): Promise<number> {
  const results = await readBench(benchPath())
  progress.say(
    (await rewriteReadme((text) => withTable(text, results))) ? 'README.md has the table now' : 'README.md has the table already',
  )
  return 0
}
