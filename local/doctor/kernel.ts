/** Entries about the kernel that the nodes share: its limits, cgroups and privileges. */
import { readFile, writeFile } from 'node:fs/promises'
import { bad, fine, type Run, unknown, warn } from '#core'
import { isRoot } from '#kit/debian'
import { hasCapability } from '../node-config.ts'
import type { Entry } from './entry.ts'
import type { EngineInfo, Facts } from './facts.ts'

interface Limit {
  readonly name: string
  readonly sysctl: string
  readonly least: number
  readonly of: string
  readonly why: string
  readonly symptoms: RegExp
}

/** A limit of the kernel that is a number in /proc/sys, and that root may raise until the next reboot. */
function kernelLimit({ sysctl, least, of, ...rest }: Limit): Entry<string> {
  const file = `/proc/sys/${sysctl.replaceAll('.', '/')}`
  const command = `sysctl ${sysctl}=${least}`
  return {
    ...rest,
    minimum: `${least} ${of}`,
    fix: `Run: sudo ${command}`,
    async read(facts) {
      if (facts.platform !== 'linux' || !(await isEnginesKernel(facts))) throw new Error('it is of the engine’s virtual machine')
      return readFile(file, 'utf8')
    },
    judge(text) {
      const value = Number(text)
      if (text.trim() === '' || !Number.isInteger(value)) return unknown(`${file} says '${text.trim()}'`)
      return value < least ? warn(`${value}`) : fine(`${value}`)
    },
    async mend({ progress }: Run) {
      if (!isRoot()) return
      const before = (await readFile(file, 'utf8')).trim()
      const written = await writeFile(file, String(least)).then(
        () => true,
        () => false, // a container whose /proc/sys is read-only; the look afterwards tells
      )
      if (written) progress.say(`Raised ${of} from ${before} to ${least} until the next reboot (${command})`)
    },
  }
}

/** Before there is an engine, the one that will be started. */
async function isEnginesKernel(facts: Facts): Promise<boolean> {
  return (await facts.engine()).running ? facts.sharesKernel() : true
}

export const inotifyInstances = kernelLimit({
  name: 'inotify-instances',
  sysctl: 'fs.inotify.max_user_instances',
  least: 512,
  of: 'inotify instances per user',
  why: 'containerd, kubelet and each pod take some, up to four: the usual 128 are used up by about 28 pods',
  symptoms: /too many open files|fsnotify watcher|inotify_init/i,
})

export const inotifyWatches = kernelLimit({
  name: 'inotify-watches',
  sysctl: 'fs.inotify.max_user_watches',
  least: 65_536,
  of: 'inotify watches per user',
  why: 'The platform takes some hundreds; an editor that watches a large tree takes tens of thousands of the same number',
  symptoms: /number of file watchers reached|inotify.*no space left|inotify_add_watch/i,
})

interface CgroupRaw {
  readonly info: Pick<EngineInfo, 'CgroupVersion' | 'MemoryLimit' | 'CpuCfsQuota' | 'PidsLimit'>
  /** The root's list, where it is this kernel's and of version 2. */
  readonly controllers: string | undefined
}

const CONTROLLERS = { MemoryLimit: 'memory', CpuCfsQuota: 'cpu', PidsLimit: 'pids' } as const

export const cgroup: Entry<CgroupRaw> = {
  name: 'cgroup',
  minimum: 'version 2 with cpu, memory, pids',
  why: 'The kubelet gives each pod its limits by them, and does not start without',
  fix: 'Boot with systemd.unified_cgroup_hierarchy=1 on the kernel’s command line',
  symptoms: /failed to find .*cgroup|apply cgroup configuration|host using cgroup v1|missing (required )?cgroup/i,
  async read(facts) {
    const info = await facts.info()
    const controllers = (await facts.sharesKernel()) ? await facts.text('/sys/fs/cgroup/cgroup.controllers') : undefined
    return { info, controllers }
  },
  judge({ info, controllers }) {
    const missing = missingControllers(info, controllers)
    const version = info.CgroupVersion ?? (controllers === undefined ? undefined : '2')
    if (version === undefined) return unknown('the engine does not say which version')
    const found = `version ${version}${missing.length === 0 ? '' : ` without ${missing.join(', ')}`}`
    if (missing.length > 0) return bad(found, delegationFix(missing))
    if (version !== '2') {
      return warn(
        found,
        'Nothing, for the node that is built here; where rancher/k3s is pulled, whose kubelet refuses version 1, boot with version 2',
      )
    }
    return fine(controllers === undefined ? found : `${found}: ${controllers.trim().split(/\s+/).join(', ')}`)
  },
}

function missingControllers(info: CgroupRaw['info'], controllers: string | undefined): string[] {
  const present = controllers?.trim().split(/\s+/)
  return Object.entries(CONTROLLERS)
    .filter(([flag, name]) => info[flag as keyof typeof CONTROLLERS] === false || (present !== undefined && !present.includes(name)))
    .map(([, name]) => name)
}

function delegationFix(missing: readonly string[]): string {
  if (missing.includes('memory')) return 'Boot with cgroup_enable=memory on the kernel’s command line, or delegate it to a rootless engine'
  return `Let systemd delegate it: Delegate=cpu cpuset io memory pids in a drop-in of user@.service, for a rootless engine`
}

interface PrivilegesRaw {
  readonly securityOptions: readonly string[]
  /** /proc/self/status, where the engine's kernel is this one. */
  readonly status: string | undefined
}

/** What a node cannot do without: mounts and networks of its own. */
const NEEDED = ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'] as const

const OUTSIDE = 'Run commands where the engine runs, not in a container beside it: what is published on its 127.0.0.1 is not on yours'

export const privileges: Entry<PrivilegesRaw> = {
  name: 'privileges',
  minimum: 'root, CAP_SYS_ADMIN, CAP_NET_ADMIN',
  why: 'A node mounts file systems, makes networks and cgroups for its pods, which an engine without root cannot give it',
  fix: 'Use an engine that runs as root, without userns-remap',
  symptoms: /OCI runtime create failed.*(operation not permitted|permission denied)|privileged mode is incompatible/i,
  async read(facts) {
    const { SecurityOptions } = await facts.info()
    const status = facts.platform === 'linux' && (await facts.sharesKernel()) ? await facts.text('/proc/self/status') : undefined
    return { securityOptions: SecurityOptions ?? [], status }
  },
  judge({ securityOptions, status }) {
    const refused = securityOptions.find((each) => /name=(rootless|userns)/.test(each))
    if (refused !== undefined) return bad(`the engine is ${refused.replace('name=', '').split(',')[0]}`)
    if (status === undefined) return fine('a rootful engine in a virtual machine')
    const missing = NEEDED.filter((each) => !hasCapability(status, each))
    // The engine runs on this kernel, and could not run itself without them.
    if (missing.length > 0) return warn(`${missing.join(', ')} withheld here, but not from the engine`, OUTSIDE)
    return fine(hasCapability(status, 'CAP_SYS_RESOURCE') ? 'privileged containers' : 'all but privileged: no CAP_SYS_RESOURCE')
  },
}
