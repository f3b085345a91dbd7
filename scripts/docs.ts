/** `npm run docs`: the documentation as a site, built as Backstage's TechDocs builds it. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkDocs } from '#kit/docs'
import { type Invocation, main } from '#kit/main'
import { ownDir, root } from '#kit/paths'
import { buildSite, generatedDocs, serveSite, staleDocs } from '#kit/site'
import { runStage } from '#kit/stage'

interface Flags {
  readonly write?: boolean
  readonly serve?: boolean
}

/** This machine only. */
const ADDRESS = '127.0.0.1:8000'

await main<Flags>({
  name: 'docs',
  summary: 'Checks the documentation and builds it as a site, strictly',
  example: 'npm run docs',
  declare: (command) =>
    command
      .option('--write', 'generate the pages about commands and the pictures anew first')
      .option('--serve', `show the site on http://${ADDRESS} until Ctrl-C`),
  run,
})

async function run({ flags, progress, signal }: Invocation<Flags>): Promise<number> {
  const generated = await progress.step('Ask every command what it does, and draw the pictures', generatedDocs)
  if (flags.write) await Promise.all([...generated].map(([path, text]) => write(path, text)))
  const check = async () => [...(await staleDocs(generated)), ...(await checkDocs(root))]
  const problems = await runStage('Check links, paths and commands', check, { progress, isGood: (found) => found.length === 0 })
  for (const problem of problems) process.stdout.write(`${problem}\n`)
  if (problems.length > 0) return 1
  if (flags.serve) await serveSite(ADDRESS, { signal, onLine: (line) => progress.say(line) })
  const to = join(ownDir(), 'site')
  await progress.step('Build the site', () => buildSite({ to, signal }))
  process.stdout.write(`${join(to, 'index.html')}\n`)
  return 0
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}
