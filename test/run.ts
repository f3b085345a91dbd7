/** Runs the test files of one folder, each in a process of its own, and reports how many tests passed. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type ChildResult, runChild } from '#kit/child'
import { formatCounts, isCounts, isGreen, type Report, sumCounts } from '#kit/counts'
import { UserError } from '#kit/errors'
import { createLimit } from '#kit/limit'
import { type Invocation, main } from '#kit/main'
import { formatMs } from '#kit/progress'

const MINUTE_MS = 60_000

/** How long one file may take, and how many run at once; files that share a cluster run one by one. */
const FOLDERS = {
  unit: { timeoutMs: MINUTE_MS, atOnce: 2 },
  config: { timeoutMs: 15 * MINUTE_MS, atOnce: 1 },
  gates: { timeoutMs: 30 * MINUTE_MS, atOnce: 1 },
  contract: { timeoutMs: 15 * MINUTE_MS, atOnce: 1 },
  live: { timeoutMs: 30 * MINUTE_MS, atOnce: 1 },
  series: { timeoutMs: 30 * MINUTE_MS, atOnce: 1 },
  rehearsal: { timeoutMs: 20 * MINUTE_MS, atOnce: 1 },
  parity: { timeoutMs: 120 * MINUTE_MS, atOnce: 1 },
  comeback: { timeoutMs: 45 * MINUTE_MS, atOnce: 1 },
  offline: { timeoutMs: 15 * MINUTE_MS, atOnce: 1 },
}

interface Flags {
  readonly root: string
  readonly timeoutMs?: string
}

// Whoever started it is gone: stop as on a signal, which stops the files too.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref()

await main<Flags>({
  name: 'test',
  summary: 'Run the test files of one folder',
  example: 'npm run test:unit -- wait',
  declare: (command) =>
    command
      .argument('<folder>', Object.keys(FOLDERS).join(', '))
      .argument('[filter]', 'only files whose name contains this')
      .option('--root <folder>', 'where the test folders are', import.meta.dirname)
      .option('--timeout-ms <ms>', 'how long one file may take'),
  run,
})

async function run({ args: [folder = '', filter = ''], flags, signal }: Invocation<Flags>): Promise<number> {
  if (!isFolder(folder))
    throw new UserError({ what: `Cannot run the tests of '${folder}'`, why: `the folders are ${Object.keys(FOLDERS).join(', ')}` })
  const { atOnce } = FOLDERS[folder]
  const timeoutMs = Number(flags.timeoutMs ?? FOLDERS[folder].timeoutMs)
  const files = (await readdir(join(flags.root, folder))).filter((file) => file.endsWith('.test.ts') && file.includes(filter)).sort()
  if (files.length === 0) return finish([nothingMatches(folder, filter)])
  const limit = createLimit(atOnce)
  const runOne = async (file: string) => {
    const lines: string[] = []
    // What runs alone is followed as it goes; what runs beside others is shown whole, and only when it is red.
    const onLine = atOnce === 1 ? print : (line: string) => void lines.push(line)
    const result = await runChild(join(flags.root, folder, file), { timeoutMs, signal, onLine })
    const report = judge(result, timeoutMs, onLine)
    if (report.failed > 0) lines.forEach(print)
    printResult(`${folder}/${file.replace(/\.test\.ts$/, '')}`, report, result.ms)
    return report
  }
  return finish(await Promise.all(files.map((file) => limit(() => runOne(file)))))
}

function isFolder(name: string): name is keyof typeof FOLDERS {
  return Object.hasOwn(FOLDERS, name)
}

function nothingMatches(folder: string, filter: string): Report {
  print(`✗ no file matches test/${folder}/*${filter}*.test.ts`)
  return { passed: 0, failed: 1, skipped: 0, skips: [] }
}

/** A file that ended without a report, or badly after a good one, has failed, whatever it printed. */
function judge({ message, exitCode, timedOut }: ChildResult, timeoutMs: number, say: (line: string) => void): Report {
  const report: Report = isCounts<Report>(message) ? message : { passed: 0, failed: 0, skipped: 0, skips: [] }
  if (report.failed > 0 || (exitCode === 0 && report === message)) return report
  if (timedOut) say(`✗ took longer than ${formatMs(timeoutMs)} and was ended`)
  else
    say(
      `✗ ended with ${exitCode === undefined ? 'a signal' : `exit code ${exitCode}`}${report === message ? '' : ' before it reported a result'}`,
    )
  return { ...report, failed: 1 }
}

function printResult(name: string, report: Report, ms: number): void {
  print(`${report.failed === 0 ? '✓' : '✗'} ${name}: ${formatCounts(report)} (${formatMs(ms)})`)
  for (const skip of report.skips) print(`  skipped ${skip}`)
}

async function finish(reports: readonly Report[]): Promise<number> {
  const total = sumCounts(reports)
  print(formatCounts(total))
  if (process.send !== undefined) await new Promise((done) => process.send?.(total, done))
  return isGreen(total) ? 0 : 1
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
