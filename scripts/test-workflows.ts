/** `npm run test:workflows`: checks the GitHub workflows, then runs their steps as far as a machine without GitHub can. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Option } from 'commander'
import { UserError } from '#kit/errors'
import type { TextFile } from '#kit/files'
import { type JsonFlags, withJson } from '#kit/flags'
import { type Invocation, main, print } from '#kit/main'
import { root as ownRoot } from '#kit/paths'
import { unknownName } from '#kit/pick'
import { runStage } from '#kit/stage'
import { checkWorkflows, type Job, readJobs, readWorkflows } from '#kit/workflow'
import { renderPlan, renderResults, runJob } from '#kit/workflow-run'

interface Flags extends JsonFlags {
  readonly job?: string
  readonly list?: boolean
  readonly dryRun?: boolean
  readonly root: string
}

const WHAT = 'Cannot test the workflows'

await main<Flags>({
  name: 'test:workflows',
  summary: 'Checks the GitHub workflows, and runs their steps in a fresh clone: the jobs without a condition, or the one that is named',
  example: 'npm run test:workflows -- --dry-run',
  declare: (command) =>
    withJson(command)
      .option('--job <name>', 'only this job, also where it has a condition')
      .option('--list', 'show the jobs, and what becomes of each step here')
      .option('--dry-run', 'check the workflows, show every job as --list does, and run nothing')
      .addOption(
        new Option('--root <folder>', 'the repository whose workflows are meant')
          .argParser((folder) => resolve(folder))
          .default(ownRoot, 'this clone'),
      ),
  run,
})

async function run(x: Invocation<Flags>): Promise<number> {
  const { root, json, list, dryRun } = x.flags
  const files = await findWorkflows(root)
  if (list) return print(renderPlan(pickJobs(files, x), json))
  const check = () => checkWorkflows(root, files, x.signal)
  const isGood = (found: readonly string[]) => found.length === 0
  const problems = await runStage(`Check ${files.map(({ path }) => path).join(', ')}`, check, { progress: x.progress, isGood })
  problems.forEach(print)
  if (problems.length > 0) return 1
  const jobs = pickJobs(files, x)
  if (dryRun) return print(renderPlan(jobs, json))
  const results = []
  for (const job of jobs) results.push(await runJob(job, { root, progress: x.progress, signal: x.signal }))
  print(renderResults(results, json))
  return results.every(({ steps }) => steps.every(({ ok }) => ok)) ? 0 : 1
}

async function findWorkflows(root: string): Promise<TextFile[]> {
  if (!existsSync(join(root, '.git'))) throw new UserError({ what: WHAT, why: `${root} is not a Git repository` })
  const files = await readWorkflows(root)
  if (files.length === 0) throw new UserError({ what: WHAT, why: `${root} has none in .github/workflows` })
  return files
}

/** The named job; else those that every trigger runs, or all where they are only shown. */
function pickJobs(files: readonly TextFile[], { flags: { job: name, list, dryRun }, progress }: Invocation<Flags>): readonly Job[] {
  const all = files.flatMap(readJobs)
  const known = all.map((job) => job.name)
  if (name !== undefined && !known.includes(name))
    throw unknownName(name, known, { what: `Cannot run the job '${name}'`, why: 'no workflow has one of that name' })
  if (name !== undefined) return all.filter((job) => job.name === name)
  if (list || dryRun) return all
  const left = all.filter((job) => job.if !== undefined)
  if (left.length === all.length)
    throw new UserError({ what: WHAT, why: 'every job has a condition', next: `Name one: --job ${known.join(', ')}` })
  for (const job of left) progress.say(`Left out ${job.name}, which GitHub runs only if ${job.if}: --job ${job.name} runs it`)
  return all.filter((job) => !left.includes(job))
}
