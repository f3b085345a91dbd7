/** `npm run gate`: what must be clean before anything runs or is pushed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatCounts, isGreen } from '#kit/counts'
import { NOTHING_ELSE, type ProfileFlags, withProfile } from '#kit/flags'
import { readAbsence } from '#kit/gate/absence'
import { type Check, type Gate, pickGates, versionOf } from '#kit/gate/gate'
import { installHooks } from '#kit/gate/hook'
import { countsOf, renderGateJunit, renderSarif, renderTable } from '#kit/gate/report'
import { fixAll, runGates } from '#kit/gate/run'
import { type Invocation, main, print } from '#kit/main'
import { reportsDir, root } from '#kit/paths'
import { namesIn } from '#kit/pick'
import { formatMs } from '#kit/progress'
import { gates } from '../holdfast.config.ts'

interface Flags extends ProfileFlags {
  readonly only?: string
  readonly list?: boolean
  readonly json?: boolean
  readonly fix?: boolean
  readonly installHook?: boolean
}

await main<Flags>({
  name: 'gate',
  summary: 'Checks everything that must be clean before it runs or is pushed',
  example: 'npm run gate -- --only lint,types',
  declare: (command) =>
    withProfile(command)
      .option('--only <names>', `some of ${gates.map(({ name }) => name).join(',')}`)
      .option('--fix', 'first mend what can be mended without a person: formatting, imports')
      .option('--list', 'show the gates and their tools, without running them')
      .option('--install-hook', 'let Git run the gates before a commit and a push')
      .option('--json', `print one JSON array on stdout ${NOTHING_ELSE}`),
  run,
})

async function run({ flags, progress, signal }: Invocation<Flags>): Promise<number> {
  if (flags.installHook) return print(await installHooks(root))
  const picked = pickGates(gates, namesIn(flags.only))
  if (flags.list) return list(picked, flags)
  const absence = await readAbsence(flags.profile, gates)
  if (flags.fix) await fixAll(picked, { root, progress, signal })
  const started = performance.now()
  const results = await runGates(picked, { root, absence, progress, signal })
  writeFileSync(join(reportsDir(), 'gate.junit.xml'), renderGateJunit(results))
  writeFileSync(join(reportsDir(), 'gate.sarif'), renderSarif(results))
  const counts = countsOf(results)
  print(flags.json ? JSON.stringify(results, undefined, 2) : renderTable(results))
  if (!flags.json) print(`${formatCounts(counts)} in ${formatMs(performance.now() - started)}`)
  return isGreen(counts) ? 0 : 1
}

async function list(picked: readonly Gate[], { json }: Flags): Promise<number> {
  const rows = await Promise.all(picked.flatMap(({ name, checks }) => checks.map(async (check) => ({ name, ...(await rowOf(check)) }))))
  if (json) return print(JSON.stringify(rows, undefined, 2))
  for (const { name, tool, version, how, about } of rows) print(`${name}: ${tool} ${version} (${how}): ${about}`)
  return 0
}

async function rowOf(check: Check) {
  const { tool, source, pin, about } = check
  return { tool, version: await versionOf(check), how: `${source}, ${pin}`, about }
}
