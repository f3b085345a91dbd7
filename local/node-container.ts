/** The node's container: K3sContainer with our own decisions about its lifetime, its ports and its privileges. */
import { readFile } from 'node:fs/promises'
import { K3sContainer } from '@testcontainers/k3s'
import { CLUSTER_LABEL, ROLE_LABEL } from '#kit/docker'
import type { PortMapping } from './ports.ts'
import { REGISTRY_ALIAS } from './registry/registry.ts'

/** All that makes one container differ from another; kept as its label, so that a difference can be named. */
export interface NodeConfig {
  readonly image: string
  readonly args: readonly string[]
  readonly ports: readonly PortMapping[]
  readonly privileges: 'privileged' | 'capabilities'
}

export const CONFIG_LABEL = 'holdfast.dev/config'
/** What k3s declares as volumes; ours are named, so that a new container continues with the old data. */
const DATA_FOLDERS = { data: '/var/lib/rancher/k3s', kubelet: '/var/lib/kubelet', cni: '/var/lib/cni', log: '/var/log' }
const REGISTRIES = ['docker.io', 'quay.io', 'public.ecr.aws', 'ghcr.io', 'registry.k8s.io']
const RESOLV_CONF = '/etc/rancher/k3s/resolv.conf'
/** Half of Go's own: the control plane takes some 200 MiB less for a hundredth of a processor. */
const GOGC = '50'

export const containerName = (cluster: string) => `holdfast-${cluster}`
export const networkName = (cluster: string) => `holdfast-${cluster}`
export const volumeNames = (cluster: string) => Object.keys(DATA_FOLDERS).map((key) => `holdfast-${cluster}-${key}`)

/** Not started yet; `start()` waits for k3s's log line. */
export class HoldfastNode extends K3sContainer {
  readonly #ports: readonly PortMapping[]

  /** @param nameservers that pods can reach; k3s looks for some by itself where there are none. */
  constructor(cluster: string, { image, args, ports, privileges }: NodeConfig, nameservers: readonly string[]) {
    super(image)
    this.#ports = ports
    this.withName(containerName(cluster))
      .withCommand([...args])
      // Without this the reaper ends the container soon after the command that started it.
      .withAutoCleanup(false)
      .withNetworkMode(networkName(cluster))
      .withCopyContentToContainer([
        { content: registriesYaml(), target: '/etc/rancher/k3s/registries.yaml', mode: 0o600 },
        { content: nameservers.map((each) => `nameserver ${each}\n`).join(''), target: RESOLV_CONF, mode: 0o644 },
      ])
      .withEnvironment({ GOGC, ...(nameservers.length === 0 ? {} : { K3S_RESOLV_CONF: RESOLV_CONF }) })
      .withLabels({ [CLUSTER_LABEL]: cluster, [ROLE_LABEL]: 'node', [CONFIG_LABEL]: JSON.stringify({ image, args, ports, privileges }) })
    // Its module's bind of the host's cgroups breaks pods on Colima; a namespace of its own keeps the host's tree clean.
    Object.assign(this.hostConfig, { CgroupnsMode: 'private' })
    this.hostConfig.RestartPolicy = { Name: 'unless-stopped' }
    this.hostConfig.Binds = Object.values(DATA_FOLDERS).map((folder, i) => `${volumeNames(cluster)[i]}:${folder}:rw`)
    if (privileges === 'capabilities') this.#replacePrivileged()
  }

  /** Runs last before the creation: testcontainers publishes on every address, and 8443 is a leftover of its module. */
  protected override async beforeContainerCreated(): Promise<void> {
    await super.beforeContainerCreated()
    const published = this.#ports.map(
      ({ host, container }) => [`${container}/tcp`, [{ HostIp: '127.0.0.1', HostPort: String(host) }]] as const,
    )
    this.hostConfig.PortBindings = Object.fromEntries(published)
    this.createOpts.ExposedPorts = Object.fromEntries(published.map(([port]) => [port, {}]))
    this.exposedPorts = this.#ports.map(({ host, container }) => ({ host, container }))
  }

  /** Where CAP_SYS_RESOURCE is withheld from the whole machine, `--privileged` fails: ask for all that is there instead. */
  #replacePrivileged(): void {
    Object.assign(this.hostConfig, {
      Privileged: false,
      CapAdd: CAPABILITIES,
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      MaskedPaths: [],
      ReadonlyPaths: [],
      Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/kmsg', CgroupPermissions: 'rwm' }],
      DeviceCgroupRules: ['a *:* rwm'],
    })
  }
}

/**
 * Capabilities that Docker Engine 20.10 knows, less SYS_RESOURCE (withheld on the hosts this is for) and SYS_TIME, SYS_BOOT and SYS_MODULE:
 * the clock and the kernel are the machine's.
 */
const CAPABILITIES =
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_CHROOT SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TTY_CONFIG SYSLOG WAKE_ALARM'.split(
    ' ',
  )
const CAP_SYS_RESOURCE = 1n << 24n

/** Docker Desktop and its like have a kernel of their own; on Linux this process's bounding set tells. */
export async function canBePrivileged(): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const bounding = /CapBnd:\s*([0-9a-f]+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1]
  return bounding !== undefined && (BigInt(`0x${bounding}`) & CAP_SYS_RESOURCE) !== 0n
}

/** In k3s's own format: each upstream registry is asked through ours first, so manifests keep their upstream names. */
function registriesYaml(): string {
  const mirrors = Object.fromEntries(REGISTRIES.map((host) => [host, { endpoint: [`http://${REGISTRY_ALIAS}:5000`] }]))
  return JSON.stringify({ mirrors })
}

/**
 * This machine's name servers, less those on loopback. A user-defined Docker network has 127.0.0.11, which pods cannot reach;
 * with systemd-resolved the real ones stand in a file of its own.
 */
export async function hostNameservers(): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const files = await Promise.all(
    ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf'].map((file) => readFile(file, 'utf8').catch(() => '')),
  )
  const found = files.map((text) =>
    [...text.matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '').filter((each) => !/^(127\.|::1)/.test(each)),
  )
  return found.find((servers) => servers.length > 0) ?? []
}
