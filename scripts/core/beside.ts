/** This platform beside another way to one, on the same machine: figures of both, and their ratio. */
import { UserError } from '#kit/errors'
import { type ExecOptions, type ExecResult, exec } from '#kit/exec'
import type { Run } from './types.ts'

/** A chart that brings about what a part of ours does. The newest one: which it was is part of the figures. */
interface Chart {
  readonly name: string
  readonly repository: string
  readonly namespace: string
  readonly set?: readonly string[]
}

const CHARTS: readonly Chart[] = [
  { name: 'argo-cd', repository: 'https://argoproj.github.io/argo-helm', namespace: 'argocd' },
  { name: 'argo-rollouts', repository: 'https://argoproj.github.io/argo-helm', namespace: 'argo-rollouts' },
  { name: 'kube-prometheus-stack', repository: 'https://prometheus-community.github.io/helm-charts', namespace: 'monitoring' },
  {
    name: 'metrics-server',
    repository: 'https://kubernetes-sigs.github.io/metrics-server',
    namespace: 'kube-system',
    set: ['args={--kubelet-insecure-tls}'], // kind's kubelets sign their own certificates
  },
]

const CLUSTER = 'holdfast-beside'
const CONTEXT = `kind-${CLUSTER}`

export interface PlatformStart {
  readonly name: string
  readonly readyMs: number
  readonly versions: readonly string[]
}

/**
 * A cluster by kind with these charts, until Helm says that all of it is ready. Nothing of it stays.
 * @throws UserError where there is a cluster of that name, which may be somebody's
 */
export async function measureKind({ progress, signal }: Run, options: ExecOptions = {}): Promise<PlatformStart> {
  const run = (program: string, ...args: readonly string[]) => exec(program, args, { ...options, signal })
  checkAbsent(await run('kind', 'get', 'clusters'))
  const began = performance.now()
  try {
    await progress.step('Create a cluster by kind', () => run('kind', 'create', 'cluster', '--name', CLUSTER, '--wait', '5m'))
    for (const chart of CHARTS) await progress.step(`Install ${chart.name}`, () => run('helm', ...installing(chart)))
    const readyMs = Math.round(performance.now() - began)
    const listed = await run('helm', 'list', '--all-namespaces', '--kube-context', CONTEXT, '--output', 'json')
    const versions = (JSON.parse(listed.stdout) as { chart: string }[]).map(({ chart }) => chart)
    return { name: 'kind and charts', readyMs, versions: [(await run('kind', 'version')).stdout.trim(), ...versions] }
  } finally {
    await exec('kind', ['delete', 'cluster', '--name', CLUSTER], options) // also after Ctrl-C
  }
}

/** What fails before there is any, deletes none. */
function checkAbsent({ stdout }: Pick<ExecResult, 'stdout'>): void {
  if (!stdout.split('\n').includes(CLUSTER)) return
  throw new UserError({
    what: 'Cannot compare',
    why: `kind has a cluster '${CLUSTER}' already`,
    next: `Remove it with kind delete cluster --name ${CLUSTER}`,
  })
}

function installing({ name, repository, namespace, set = [] }: Chart): string[] {
  const values = set.flatMap((each) => ['--set', each])
  const where = ['--kube-context', CONTEXT, '--namespace', namespace, '--create-namespace']
  return ['upgrade', '--install', name, name, '--repo', repository, ...where, ...values, '--wait', '--timeout', '15m']
}

/** A table of Markdown, with how many times as long the first one took. */
export function renderBeside(ours: PlatformStart, other: PlatformStart): string {
  const row = ({ name, readyMs, versions }: PlatformStart) => `| ${name} | ${(readyMs / 1000).toFixed(1)} s | ${versions.join(', ')} |`
  const ratio = (ours.readyMs / other.readyMs).toFixed(2)
  return ['| what | ready after | of |', '|---|---|---|', row(ours), row(other), '', `Ratio: ${ratio}`].join('\n')
}
