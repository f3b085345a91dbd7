/** `npm run report`: makes the report of kept records again, or shows what changed between two runs. Needs no cluster. */

import {
  compareResults,
  headlineOf,
  isWorse,
  readResults,
  renderComparison,
  renderComparisonHtml,
  renderHtml,
  renderJson,
  reportPath,
  saveReport,
} from '#core'
import { UserError } from '#kit/errors'
import { type JsonFlags, withJson } from '#kit/flags'
import { type Invocation, main } from '#kit/main'
import { stack } from '../holdfast.config.ts'

interface Flags extends JsonFlags {
  readonly compare?: boolean
  readonly out?: string
}

await main<Flags>({
  name: 'report',
  summary: 'Makes the report of a run again from its records, judged by this version; or compares two runs.',
  example: 'npm run report -- --compare before.html after.html',
  declare: (command) =>
    withJson(command)
      .argument('[records...]', 'records, folders of them, results.json or reports of ours; without, the last run')
      .option('--compare', 'show what changed between two of these; exit code 1 where a verdict got worse')
      .option('--out <file>', 'where the HTML is written'),
  run: (x) => (x.flags.compare ? compare(x) : report(x)),
})

async function report({ args, flags, progress }: Invocation<Flags>): Promise<number> {
  const results = await readResults(stack, args)
  if (flags.json) process.stdout.write(`${renderJson(results)}\n`)
  const path = await saveReport(renderHtml(results), flags.out ?? reportPath(results))
  progress.say(`${headlineOf(results)}\nReport: ${path}`)
  return 0
}

async function compare({ args, flags, progress }: Invocation<Flags>): Promise<number> {
  const [before, after, ...more] = args
  if (before === undefined || after === undefined || more.length > 0)
    throw new UserError({ what: 'Cannot compare', why: `two runs are compared, and ${args.length} were named`, next: 'Name two' })
  const sides = [await readResults(stack, [before]), await readResults(stack, [after])] as const
  const comparison = compareResults(...sides)
  process.stdout.write(`${flags.json ? JSON.stringify(comparison, null, 2) : renderComparison(comparison)}\n`)
  const path = await saveReport(renderComparisonHtml(comparison), flags.out ?? reportPath(sides.flat(), 'compare'))
  progress.say(`Report: ${path}`)
  return isWorse(comparison) ? 1 : 0
}
