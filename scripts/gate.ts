/** `npm run gate`: what must be clean before anything runs. */
import { GATES, type Gate, pickGates } from '#kit/gates'
import { type Invocation, main } from '#kit/main'
import { root } from '#kit/paths'
import { namesIn } from '#kit/pick'
import { runStage } from '#kit/stage'

interface Flags {
  readonly only?: string
  readonly list?: boolean
  readonly json?: boolean
}

await main<Flags>({
  name: 'gate',
  summary: 'Check the code, the types and that no secret is in the tree or the history',
  example: 'npm run gate -- --only lint,types',
  declare: (command) =>
    command
      .option('--only <names>', `some of ${GATES.map(({ name }) => name).join(',')}`)
      .option('--list', 'show the gates and their tools, without running them')
      .option('--json', 'print one JSON array'),
  run,
})

async function run({ flags, progress, signal }: Invocation<Flags>): Promise<number> {
  const gates = pickGates(namesIn(flags.only))
  if (flags.list) return list(gates, flags)
  const results = []
  for (const { name, run: check } of gates) {
    const isGood = (problems: readonly string[]) => problems.length === 0
    results.push({ name, problems: await runStage(name, () => check(root, signal), { progress, isGood }) })
  }
  const lines = results.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`))
  if (flags.json) print(JSON.stringify(results, undefined, 2))
  else lines.forEach(print)
  return lines.length > 0 ? 1 : 0
}

async function list(gates: readonly Gate[], { json }: Flags): Promise<number> {
  const rows = await Promise.all(gates.map(async ({ name, tool, how, version }) => ({ name, tool, version: await version(), how })))
  if (json) print(JSON.stringify(rows, undefined, 2))
  else for (const row of rows) print(`${row.name.padEnd(8)} ${row.tool} ${row.version} (${row.how})`)
  return 0
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
