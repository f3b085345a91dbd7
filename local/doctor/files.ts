/** Entries about file systems: below the engine's data, and below the project. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { bad, type Finding, fine, warn } from '#core'
import { cacheDir, root } from '#kit/paths'
import type { Entry } from './entry.ts'
import type { EngineInfo } from './facts.ts'

const MOUNTS = '/proc/self/mountinfo'

export interface Mount {
  readonly at: string
  readonly type: string
  readonly options: readonly string[]
}

/** The mount that a path lies on, in the text of /proc/<pid>/mountinfo; of two at one place the later one counts. */
export function mountOf(path: string, mountinfo: string): Mount | undefined {
  const mounts = mountinfo.split('\n').flatMap((line) => parseMount(line) ?? [])
  const above = mounts.filter(({ at }) => at === '/' || path === at || path.startsWith(`${at}/`))
  return above.reduce<Mount | undefined>((best, each) => (best === undefined || each.at.length >= best.at.length ? each : best), undefined)
}

/** `36 35 98:0 / /mnt rw,noexec - ext4 /dev/sda rw`: proc_pid_mountinfo(5). Spaces in names are octal there. */
function parseMount(line: string): Mount | undefined {
  const [before = '', after = ''] = line.split(' - ')
  const [at, options] = before.split(' ').slice(4)
  const [type] = after.split(' ')
  if (at === undefined || options === undefined || !type) return undefined
  return { at: at.replaceAll('\\040', ' '), type, options: options.split(',') }
}

/** The kernel refuses them as the upper layer of an overlay, or they answer over a network. */
const NO_UPPER = /^(nfs\d?|cifs|smb\d?|smbfs|9p|drvfs|virtiofs|vboxsf|prl_fs|fuse.*|overlay|aufs|ecryptfs|vfat|exfat)$/
const OVERLAY_DRIVERS = ['overlay2', 'overlayfs']

interface EngineFilesRaw {
  readonly info: Pick<EngineInfo, 'Driver' | 'DriverStatus' | 'DockerRootDir'>
  /** This kernel's mounts; undefined where the engine has another one. */
  readonly mounts: string | undefined
}

export const engineFiles: Entry<EngineFilesRaw> = {
  name: 'engine-files',
  minimum: 'overlay2 on a local ext4 or xfs',
  why: 'The node’s containerd lays overlays on its volumes, which network, FUSE and overlay file systems do not carry',
  fix: 'Move the engine’s data to a local ext4 or xfs: data-root in /etc/docker/daemon.json',
  symptoms:
    /overlayfs?.*(not supported|invalid argument|cannot be|failed)|failed to mount overlay|error creating overlay mount|wrong fs type/i,
  async read(facts) {
    const info = await facts.info()
    return { info, mounts: (await facts.sharesKernel()) ? await facts.text(MOUNTS) : undefined }
  },
  judge({ info: { Driver = 'unknown', DriverStatus, DockerRootDir = '/' }, mounts }) {
    const status = Object.fromEntries(DriverStatus ?? [])
    const type = mounts === undefined ? status['Backing Filesystem'] : mountOf(DockerRootDir, mounts)?.type
    const found = `${Driver} on ${type ?? 'a file system that is not named'}`
    if (type !== undefined && NO_UPPER.test(type)) return bad(found)
    if (status['Supports d_type'] === 'false') return bad(`${found} without d_type`, 'Make that xfs anew with ftype=1, or use ext4')
    if (Driver === 'vfs') return warn(found, 'Let the engine use overlay2: with vfs each layer is a whole copy')
    if (!OVERLAY_DRIVERS.includes(Driver) || type === 'zfs' || type === 'tmpfs') return warn(found)
    return fine(found)
  },
}

interface ProjectFilesRaw {
  readonly platform: NodeJS.Platform
  /** Where code of the project runs from: the clone, and the compiled programs. */
  readonly paths: readonly string[]
  readonly mounts: string | undefined
  /** Whether one name in another case finds the same file. */
  readonly ignoresCase: boolean
}

const WINDOWS = /^(9p|drvfs|cifs|smb\d?|vboxsf|prl_fs|ntfs.*|fuseblk|vfat|exfat)$/

export const projectFiles: Entry<ProjectFilesRaw> = {
  name: 'project-files',
  minimum: 'keeps cases and modes, lets programs run',
  why: 'What is pushed to Git is the tree as it is, with modes and names, which a mount of Windows does not keep; it is slow as well',
  fix: 'Clone the project to a folder of Linux’s own, such as one below your home',
  symptoms: /EACCES.*node_modules|node_modules.*(permission denied|EACCES)/i,
  read: async (facts) => ({
    platform: facts.platform,
    paths: [root, cacheDir],
    mounts: await facts.text(MOUNTS),
    ignoresCase: existsSync(join(root, 'PACKAGE.JSON')),
  }),
  judge({ platform, paths, mounts = '', ignoresCase }) {
    const found = paths.map((path) => ({ path, mount: mountOf(path, mounts) }))
    const sealed = found.find(({ mount }) => mount?.options.includes('noexec'))
    if (sealed !== undefined) return bad(`${sealed.path} is mounted noexec`, `Mount it without noexec, or use another folder`)
    const [{ mount } = {}] = found
    return judgeProject({ type: mount?.type, ignoresCase, platform })
  },
}

function judgeProject({
  type = 'a file system',
  ignoresCase,
  platform,
}: {
  type?: string | undefined
  ignoresCase: boolean
  platform: NodeJS.Platform
}): Finding {
  if (WINDOWS.test(type)) return warn(`${type}, a mount of Windows or of a host`)
  if (ignoresCase && platform !== 'darwin') return warn(`${type} that takes cases for one`)
  return fine(ignoresCase ? `${type} that takes cases for one, as usual on a Mac` : type)
}
