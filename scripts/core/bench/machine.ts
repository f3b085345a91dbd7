/** What is measured upon: its class, by which figures can be compared, and what may explain a difference. No name of it. */
import { readFile } from 'node:fs/promises'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { docker } from '#kit/docker'
import { projectFiles } from '#kit/files'
import { keyOf, sha256OfFile } from '#kit/hash'
import { RESULTS_FILE } from './results.ts'

export interface MachineSize {
  readonly platform: string
  readonly arch: string
  readonly cores: number
  readonly memoryBytes: number
}

const thisMachine = (): MachineSize => ({ platform: platform(), arch: arch(), cores: cpus().length, memoryBytes: totalmem() })

/** `linux x64, 2 cores, 24 GiB`. */
export function machineClass(size: MachineSize = thisMachine()): string {
  const memory = Math.round(size.memoryBytes / 1024 ** 3)
  return `${size.platform} ${size.arch}, ${size.cores} ${size.cores === 1 ? 'core' : 'cores'}, ${memory} GiB`
}

/** @param kubernetes the version that clusters are brought up with */
export async function machineFacts(kubernetes: string): Promise<Readonly<Record<string, string>>> {
  const engine = await docker(['version', '--format', '{{.Server.Version}}']).then(
    ({ stdout }) => stdout.trim(),
    () => 'not running',
  )
  return {
    ...(await systemName()),
    kernel: /^\d+(\.\d+)*/.exec(release())?.[0] ?? release(),
    'Docker Engine': engine,
    Node: process.versions.node,
    Kubernetes: kubernetes,
  }
}

async function systemName(): Promise<Readonly<Record<string, string>>> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const [, id] = /^ID="?([^"\n]+)/m.exec(text) ?? []
  const [, version] = /^VERSION_ID="?([^"\n]+)/m.exec(text) ?? []
  return id === undefined || version === undefined ? {} : { [id]: version }
}

/** The key of all that is measured: every file of the project but those that measuring changes. */
export async function codeKey(root: string): Promise<string> {
  const files = (await projectFiles(root)).filter((path) => path !== RESULTS_FILE && path !== 'README.md')
  return keyOf(await Promise.all(files.map(async (path) => [path, await sha256OfFile(join(root, path))])))
}
