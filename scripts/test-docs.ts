/** `npm run test:docs`: runs the commands that README and the documentation show, and says of each other one why it was not run. */
import { join } from 'node:path'
import { runChild } from '#kit/child'
import { hasProgram } from '#kit/debian'
import { checkDocs, readPages } from '#kit/docs'
import { UserError } from '#kit/errors'
import { type Invocation, main, print } from '#kit/main'
import { root } from '#kit/paths'
import { countShown, jobOf, planShown, programsIn, renderRan, renderShown, type ShownCommand } from '#kit/shown'
import { siteOrder } from '#kit/site'
import { runJob } from '#kit/workflow-run'
import { stack } from '../holdfast.config.ts'

interface Flags {
  readonly dryRun?: boolean
  readonly page: string
  readonly from: string
  readonly cloud: boolean
  readonly tests: boolean
}

const CLUSTER = 'local'

await main<Flags>({
  name: 'test:docs',
  summary:
    'Runs the commands that README and the documentation show: in a fresh clone against the stack that runs, cloud commands rehearsed',
  example: 'npm run test:docs -- --dry-run',
  declare: (command) =>
    command
      .option('--dry-run', 'print which commands would be run, in which order, and why the others are not')
      .option('--page <path>', 'only pages whose path contains this', '')
      .option('--from <path>', 'go on at the first page whose path contains this: what stands further up was run', '')
      .option('--no-tests', 'leave npm test out, which is run last and takes the longest')
      .option('--no-cloud', 'leave the rehearsal of the cloud commands out'),
  run,
})

async function run({ flags, progress, signal }: Invocation<Flags>): Promise<number> {
  const problems = await checkDocs(root)
  if (problems.length > 0) throw new UserError({ what: 'Cannot test the documentation', why: problems.join('\n'), next: 'npm run docs' })
  const pages = (await readPages(root)).filter(({ path }) => path.includes(flags.page))
  if (!pages.some(({ path }) => path.includes(flags.from)))
    throw new UserError({
      what: 'Cannot test the documentation',
      why: 'no page has such a path',
      next: 'See --dry-run for those that there are',
    })
  const found = await Promise.all(programsIn(pages).map(async (program) => ((await hasProgram(program)) ? [program] : [])))
  const [order, keepsStack] = [await siteOrder(), await stack.clusters.local.exists(CLUSTER)]
  const plan = planShown(pages, {
    order,
    keepsStack,
    tests: flags.tests,
    from: flags.from,
    has: (program) => found.flat().includes(program),
  })
  if (flags.dryRun) return print(renderShown(plan))
  const result = await runJob(jobOf(plan), { root, progress, signal })
  print(renderRan(result))
  const isRehearsed = flags.cloud ? await rehearse(plan, { progress, signal }) : true
  print(countShown(plan))
  if (!flags.cloud) print('The cloud commands were left out: --no-cloud')
  return result.steps.every(({ ok }) => ok) && isRehearsed ? 0 : 1
}

/** With the stack, where it still runs, stopped for so long: the rehearsal brings up a cluster of its own. */
async function rehearse(plan: readonly ShownCommand[], { progress, signal }: Pick<Invocation<Flags>, 'progress' | 'signal'>) {
  const lines = plan.filter(({ fate }) => fate === 'rehearsed').map(({ command }) => command)
  if (lines.length === 0) return true
  const { local } = stack.clusters
  await using _lock = await local.lock(CLUSTER, 'test:docs')
  await using _paused = await local.pause(CLUSTER)
  const onLine = (line: string) => progress.say(`  ${line}`)
  const { exitCode, message } = await runChild(join(root, 'test', 'rehearsal', 'shown.ts'), { args: ['--', ...lines], signal, onLine })
  const { why, results = [] } = (message ?? {}) as { why?: string; results?: { line: string; exitCode?: number }[] }
  if (why !== undefined) print(`${lines.length} not rehearsed: ${why}`)
  for (const { line, exitCode: code } of results) print(`${code === 0 ? '✓' : '✗'} ${line}: exit code ${code ?? 'none'}`)
  return exitCode === 0
}
