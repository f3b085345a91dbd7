/** Raw answers about room, kernel and file systems. */
import * as files from '../../../local/doctor/files.ts'
import * as kernel from '../../../local/doctor/kernel.ts'
import * as resources from '../../../local/doctor/resources.ts'
import { type Fixture, fixtures } from './fixture.ts'

const ROOT = '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard'
const mounted = (at: string, type: string, options = 'rw,relatime') =>
  `${ROOT}\n71 27 0:52 / ${at} ${options} shared:9 - ${type} source rw\n`
const CLONE = { path: '/src', gb: 2, neededGb: 1 }
const ALL_FLAGS = { MemoryLimit: true, CpuCfsQuota: true, PidsLimit: true }
/** @param set the bounding set */
const withCapabilities = (set: string) => `Name:\tnode\nCapInh:\t0000000000000000\nCapBnd:\t${set}\nCapAmb:\t0000000000000000\n`

export const MACHINE: readonly Fixture[] = [
  ...fixtures(
    resources.cpu,
    ['two', { machine: 2, engine: 2 }, 'ok', /^2$/m],
    ['one for the virtual machine', { machine: 8, engine: 1 }, 'warn', /1 for the engine, 8 here.*more processors/s],
    ['one', { machine: 1, engine: undefined }, 'warn', /^1$/m],
    ['no engine', { machine: 8, engine: undefined }, 'unknown', /8 here; no engine answers/],
  ),
  ...fixtures(
    resources.memory,
    ['plenty', { availableGb: 20.3, nodes: [] }, 'ok', /20\.3 GB free/],
    ['little', { availableGb: 2.1, nodes: [] }, 'bad', /2\.1 GB free.*Close something/s],
    ['little, since the platform runs', { availableGb: 2.1, nodes: ['holdfast-local'] }, 'ok', /holdfast-local running/],
  ),
  ...fixtures(
    resources.engineMemory,
    ['plenty', 25_276_502_016, 'ok', /25\.3 GB/],
    ['a virtual machine as it comes', 2_067_853_312, 'bad', /2\.1 GB.*more memory/s],
    ['an engine that does not say', 0, 'unknown', /does not say/],
  ),
  ...fixtures(
    resources.disk,
    ['room', [{ path: '/home', gb: 38, neededGb: 12 }, CLONE], 'ok', /2\.0 GB free below \/src/],
    [
      'too little to build',
      [{ path: '/home', gb: 8, neededGb: 12 }, CLONE],
      'bad',
      /8\.0 GB free below \/home, where 12 GB.*Free some space/s,
    ],
    ['enough once all is built', [{ path: '/home', gb: 8, neededGb: 3 }], 'ok', /8\.0 GB/],
    [
      'a clone on a full disk',
      [
        { path: '/home', gb: 38, neededGb: 3 },
        { ...CLONE, gb: 0.2 },
      ],
      'bad',
      /0\.2 GB free below \/src, where 1 GB/,
    ],
  ),
  ...fixtures(
    resources.engineDisk,
    ['room', { path: '/var/lib/docker', gb: 38 }, 'ok', /38\.0 GB/],
    ['nearly full', { path: '/var/lib/docker', gb: 1 }, 'bad', /1\.0 GB free below \/var\/lib\/docker.*docker system df/s],
  ),
  ...fixtures(
    kernel.inotifyInstances,
    ['enough', '512\n', 'ok', /512/],
    ['as it comes', '128\n', 'warn', /128.*sudo sysctl fs\.inotify\.max_user_instances=512/s],
    ['no number', '\n', 'unknown', /says ''/],
  ),
  ...fixtures(
    kernel.inotifyWatches,
    ['enough', '192536\n', 'ok', /192536/],
    ['as old kernels have it', '8192\n', 'warn', /8192.*sudo sysctl fs\.inotify\.max_user_watches=65536/s],
  ),
  ...fixtures(
    kernel.cgroup,
    [
      'version 2',
      { info: { CgroupVersion: '2', ...ALL_FLAGS }, controllers: 'cpuset cpu io memory hugetlb pids rdma misc\n' },
      'ok',
      /version 2: cpuset, cpu/,
    ],
    ['version 2 in a virtual machine', { info: { CgroupVersion: '2', ...ALL_FLAGS }, controllers: undefined }, 'ok', /^version 2$/m],
    ['version 1', { info: { CgroupVersion: '1', ...ALL_FLAGS }, controllers: undefined }, 'warn', /version 1.*boot with version 2/s],
    ['an engine that does not say', { info: ALL_FLAGS, controllers: undefined }, 'unknown', /does not say which/],
    [
      'a Raspberry Pi',
      { info: { CgroupVersion: '2', ...ALL_FLAGS, MemoryLimit: false }, controllers: 'cpuset cpu io pids\n' },
      'bad',
      /without memory.*cgroup_enable=memory/s,
    ],
    [
      'nothing delegated',
      { info: { CgroupVersion: '2', MemoryLimit: true, CpuCfsQuota: false, PidsLimit: true }, controllers: undefined },
      'bad',
      /without cpu.*Delegate=cpu/s,
    ],
    ['a container with some of them', { info: { CgroupVersion: '2', ...ALL_FLAGS }, controllers: 'memory pids\n' }, 'bad', /without cpu/],
  ),
  ...fixtures(
    kernel.privileges,
    [
      'root',
      { securityOptions: ['name=seccomp,profile=builtin', 'name=cgroupns'], status: withCapabilities('000001ffffffffff') },
      'ok',
      /privileged containers/,
    ],
    [
      'a host that withholds one',
      { securityOptions: ['name=seccomp,profile=default'], status: withCapabilities('000001fffeffffff') },
      'ok',
      /no CAP_SYS_RESOURCE/,
    ],
    ['a virtual machine', { securityOptions: ['name=seccomp,profile=unconfined'], status: undefined }, 'ok', /virtual machine/],
    [
      'rootless',
      { securityOptions: ['name=seccomp,profile=builtin', 'name=rootless', 'name=cgroupns'], status: withCapabilities('000001ffffffffff') },
      'bad',
      /engine is rootless.*runs as root/s,
    ],
    [
      'users remapped',
      { securityOptions: ['name=userns'], status: withCapabilities('000001ffffffffff') },
      'bad',
      /engine is userns.*userns-remap/s,
    ],
    [
      'a container beside the engine',
      { securityOptions: [], status: withCapabilities('00000000a80425fb') },
      'warn',
      /CAP_SYS_ADMIN, CAP_NET_ADMIN withheld here.*where the engine runs/s,
    ],
  ),
  ...fixtures(
    files.engineFiles,
    [
      'ext4',
      {
        info: {
          Driver: 'overlay2',
          DriverStatus: [
            ['Backing Filesystem', 'extfs'],
            ['Supports d_type', 'true'],
          ],
          DockerRootDir: '/var/lib/docker',
        },
        mounts: ROOT,
      },
      'ok',
      /overlay2 on ext4/,
    ],
    [
      'containerd’s store',
      {
        info: { Driver: 'overlayfs', DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']], DockerRootDir: '/var/lib/docker' },
        mounts: ROOT,
      },
      'ok',
      /overlayfs on ext4/,
    ],
    [
      'a virtual machine',
      { info: { Driver: 'overlay2', DriverStatus: [['Backing Filesystem', 'extfs']] }, mounts: undefined },
      'ok',
      /overlay2 on extfs/,
    ],
    [
      'NFS',
      { info: { Driver: 'overlay2', DockerRootDir: '/data/docker' }, mounts: mounted('/data', 'nfs4') },
      'bad',
      /overlay2 on nfs4.*data-root/s,
    ],
    ['FUSE', { info: { Driver: 'overlay2', DockerRootDir: '/data/docker' }, mounts: mounted('/data', 'fuse.sshfs') }, 'bad', /fuse\.sshfs/],
    [
      'an engine within a container',
      { info: { Driver: 'overlay2', DockerRootDir: '/var/lib/docker' }, mounts: mounted('/var', 'overlay') },
      'bad',
      /overlay2 on overlay/,
    ],
    [
      'an xfs without d_type',
      {
        info: {
          Driver: 'overlay2',
          DriverStatus: [
            ['Backing Filesystem', 'xfs'],
            ['Supports d_type', 'false'],
          ],
        },
        mounts: undefined,
      },
      'bad',
      /without d_type.*ftype=1/s,
    ],
    [
      'vfs',
      { info: { Driver: 'vfs', DriverStatus: null, DockerRootDir: '/var/lib/docker' }, mounts: ROOT },
      'warn',
      /vfs on ext4.*whole copy/s,
    ],
    ['ZFS', { info: { Driver: 'zfs', DockerRootDir: '/tank/docker' }, mounts: mounted('/tank', 'zfs') }, 'warn', /zfs on zfs/],
    [
      'BTRFS’ own driver',
      { info: { Driver: 'btrfs', DockerRootDir: '/var/lib/docker' }, mounts: mounted('/var', 'btrfs') },
      'warn',
      /btrfs on btrfs/,
    ],
  ),
  ...fixtures(
    files.projectFiles,
    ['ext4', { platform: 'linux', paths: ['/src', '/cache'], mounts: ROOT, ignoresCase: false }, 'ok', /ext4/],
    [
      'a drive of Windows within WSL',
      { platform: 'linux', paths: ['/mnt/c/src', '/cache'], mounts: mounted('/mnt/c', '9p'), ignoresCase: true },
      'warn',
      /9p.*folder of Linux/s,
    ],
    [
      'a folder that ignores cases',
      { platform: 'linux', paths: ['/src', '/cache'], mounts: ROOT, ignoresCase: true },
      'warn',
      /takes cases for one/,
    ],
    ['a Mac', { platform: 'darwin', paths: ['/src', '/cache'], mounts: undefined, ignoresCase: true }, 'ok', /usual on a Mac/],
    [
      'a cache that runs nothing',
      { platform: 'linux', paths: ['/src', '/cache/holdfast'], mounts: mounted('/cache', 'ext4', 'rw,nosuid,noexec'), ignoresCase: false },
      'bad',
      /\/cache\/holdfast is mounted noexec.*without noexec/s,
    ],
    [
      'a mount whose name has a space',
      { platform: 'linux', paths: ['/my files/src', '/cache'], mounts: mounted('/my\\040files', 'cifs'), ignoresCase: false },
      'warn',
      /cifs/,
    ],
  ),
]
