/** Docker by its command line: what a user can repeat by hand. */
import { ExecError, type ExecOptions, type ExecResult, exec } from './exec.ts'
import { createOnce } from './limit.ts'

/** Everything that we make carries this label; its value says what it is for. Clean-up goes by label only. */
export const ROLE_LABEL = 'holdfast.dev/role'
/** The cluster that a container, volume or network belongs to. */
export const CLUSTER_LABEL = 'holdfast.dev/cluster'

const once = createOnce<string>()

export async function docker(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  return exec('docker', args, options)
}

/** Parsed `docker inspect`, or undefined where there is no such object. */
export async function inspect<T>(type: 'container' | 'image' | 'volume' | 'network', name: string): Promise<T | undefined> {
  try {
    const { stdout } = await docker(['inspect', '--type', type, name])
    return (JSON.parse(stdout) as T[])[0]
  } catch (thrown) {
    if (thrown instanceof ExecError && /no such|not found/i.test(thrown.stderr)) return undefined
    throw thrown
  }
}

export interface ContainerInfo {
  readonly Id: string
  readonly Name: string
  readonly Image: string
  readonly RestartCount: number
  readonly State: { readonly Running: boolean; readonly Status: string; readonly ExitCode: number; readonly StartedAt: string }
  readonly Config: { readonly Labels: Readonly<Record<string, string>>; readonly Image: string }
  readonly HostConfig: { readonly PortBindings: Readonly<Record<string, readonly { HostIp: string; HostPort: string }[] | null>> | null }
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string; readonly NetworkID: string }>> }
}

/** Names of containers, volumes, networks or images with a label. */
export async function listByLabel(type: 'container' | 'volume' | 'network' | 'image', label: string): Promise<string[]> {
  const format = { container: '{{.Names}}', volume: '{{.Name}}', network: '{{.Name}}', image: '{{.Repository}}:{{.Tag}}' }[type]
  const list = type === 'container' ? ['ps', '--all'] : [type, 'ls']
  const { stdout } = await docker([...list, '--filter', `label=${label}`, '--format', format])
  return stdout.split('\n').filter((name) => name !== '' && !name.includes('<none>'))
}

/** Volumes of a cluster, side by side; one that is there stays as it is. */
export async function createVolumes(cluster: string, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => docker(['volume', 'create', '--label', `${CLUSTER_LABEL}=${cluster}`, name])))
}

/** Names of the containers with a label that run. */
export async function listRunning(label: string): Promise<string[]> {
  const { stdout } = await docker(['ps', '--filter', `label=${label}`, '--format', '{{.Names}}'])
  return stdout.split('\n').filter(Boolean)
}

/** The engine's platform, as Go writes it: `linux`, `amd64`. */
export async function enginePlatform(): Promise<{ os: string; arch: string }> {
  const text = await once('platform', async () => (await docker(['version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'])).stdout.trim())
  const [os = 'linux', arch = 'amd64'] = text.split('/')
  return { os, arch }
}

/** Debian's engine comes without buildx; the classic builder is then named outright, which keeps its warning away. */
export async function builderEnv(): Promise<Record<string, string>> {
  const buildkit = await once('buildx', async () => String((await docker(['buildx', 'version'], { accept: [0, 1, 125] })).exitCode === 0))
  return buildkit === 'true' ? {} : { DOCKER_BUILDKIT: '0' }
}
