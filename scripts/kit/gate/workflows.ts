/** The workflows gate: the rules of this house, what is wrong with a workflow (actionlint), and what makes one dangerous (zizmor). */
import { exec } from '../exec.ts'
import { pythonProgram } from '../python.ts'
import { tool } from '../tools.ts'
import { checkWorkflow, lintWorkflows, readWorkflows, scriptsIn } from '../workflow.ts'
import { type Gate, goVersionOf, have, type Look, ownVersion, pypiVersion } from './gate.ts'

const ZIZMOR = 'local/tools/zizmor.txt'

export const workflows: Gate = {
  name: 'workflows',
  checks: [
    {
      tool: 'workflow rules',
      source: 'ours',
      pin: 'scripts/kit/workflow.ts',
      about: 'least permissions, actions by commit, time limits, steps that call npm scripts only',
      version: ownVersion,
      async run({ root }) {
        const scripts = await scriptsIn(root)
        return (await workflowsOf(root)).flatMap((file) => checkWorkflow(file, scripts))
      },
    },
    {
      tool: 'actionlint',
      source: 'Go module',
      pin: 'local/tools/actionlint/go.mod',
      about: 'syntax, types of expressions, events, runners',
      version: () => goVersionOf('local/tools/actionlint', 'github.com/rhysd/actionlint'),
      async run({ root, signal }) {
        await have(() => tool('actionlint', signal), signal)
        return lintWorkflows(root, await workflowsOf(root), signal)
      },
    },
    {
      tool: 'zizmor',
      source: 'PyPI',
      pin: ZIZMOR,
      about: 'unpinned actions, injection into scripts, dangerous triggers, credentials left behind',
      version: () => pypiVersion(ZIZMOR, 'zizmor'),
      run: runZizmor,
    },
  ],
}

async function workflowsOf(root: string) {
  const files = await readWorkflows(root)
  if (files.length === 0) throw new Error('there is no workflow in .github/workflows')
  return files
}

interface ZizmorFinding {
  readonly ident: string
  readonly desc: string
  readonly url: string
  readonly locations: readonly {
    readonly symbolic: {
      readonly key: { readonly Local?: { readonly verbatim_path: string } }
      readonly annotation: string
      readonly kind: string
    }
    readonly concrete: { readonly location: { readonly start_point: { readonly row: number } } }
  }[]
}

/** Its exit code is 0 without findings, 11 to 14 by the worst of them, and another one where it could not look. */
const ZIZMOR_CODES = [0, 11, 12, 13, 14]

async function runZizmor({ root, signal }: Look): Promise<string[]> {
  const program = await have(() => pythonProgram(ZIZMOR, 'zizmor', signal), signal)
  const files = (await workflowsOf(root)).map(({ path }) => path)
  // Offline: it would ask GitHub about each action otherwise, with whatever token the environment holds.
  const args = ['--offline', '--no-config', '--no-progress', '--format=json', ...files]
  const { stdout } = await exec(program, args, { cwd: root, accept: ZIZMOR_CODES, signal })
  return (JSON.parse(stdout) as ZizmorFinding[]).map(({ ident, desc, url, locations }) => {
    const place = locations.find(({ symbolic }) => symbolic.kind === 'Primary') ?? locations[0]
    const file = place?.symbolic.key.Local?.verbatim_path ?? '.github/workflows'
    const line = (place?.concrete.location.start_point.row ?? 0) + 1
    return `${file}:${line} — ${desc}: ${place?.symbolic.annotation} — see ${url} (${ident})`
  })
}
