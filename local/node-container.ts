/**
 * The nodes' containers, through testcontainers, with our own decisions about their lifetime, ports and privileges. Imported only where one
 * is made: testcontainers takes half a second to load.
 */
import { K3sContainer } from '@testcontainers/k3s'
import { GenericContainer } from 'testcontainers'
import { CLUSTER_LABEL, ROLE_LABEL } from '#kit/docker'
import {
  AGENT_FOLDERS,
  CONFIG_LABEL,
  containerName,
  DATA_FOLDERS,
  extraCa,
  type NodeConfig,
  type NodeSpec,
  networkName,
  TOKEN_FILE,
} from './node-config.ts'
import type { PortMapping } from './ports.ts'
import { REGISTRY_ALIAS } from './registry/registry.ts'

const REGISTRIES = ['docker.io', 'quay.io', 'public.ecr.aws', 'ghcr.io', 'registry.k8s.io']
const RESOLV_CONF = '/etc/rancher/k3s/resolv.conf'
/**
 * Twice Go's own: while a cluster starts it is the processor that is short. A restore takes 2 s less on two cores than with Go's own, 4 s less
 * than with half of it, and the node 0.45 GiB more than with half.
 */
const GOGC = '200'

/** The node with the API server. Not started yet; `start()` waits for k3s's log line. */
export class HoldfastServer extends K3sContainer {
  readonly #ports: readonly PortMapping[]

  constructor(spec: NodeSpec) {
    super(spec.config.image)
    this.#ports = spec.config.ports
    const name = containerName(spec.cluster)
    describe(this, spec, { name, role: 'node' })
    Object.assign(this.hostConfig, hostConfigOf(spec.config, { name, folders: DATA_FOLDERS }))
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
}

/** One more node. It publishes nothing: the server's ports lead to its pods too. `start()` does not wait for it. */
export class HoldfastAgent extends GenericContainer {
  /** @param token what it joins with, for itself only. */
  constructor(name: string, spec: NodeSpec, token: string) {
    super(spec.config.image)
    describe(this, spec, { name, role: 'agent' })
    this.withCopyContentToContainer([{ content: token, target: TOKEN_FILE, mode: 0o600 }])
    Object.assign(this.hostConfig, hostConfigOf(spec.config, { name, folders: AGENT_FOLDERS }))
  }
}

/** What all nodes have in common. */
function describe(
  container: GenericContainer,
  { cluster, config, nameservers, files, mirrors }: NodeSpec,
  { name, role }: { name: string; role: 'node' | 'agent' },
): void {
  container
    .withName(name)
    .withCommand([...config.args])
    // Without this the reaper ends the container soon after the command that started it.
    .withAutoCleanup(false)
    .withNetworkMode(networkName(cluster))
    .withCopyContentToContainer([
      ...[...files, ...extraCa()].map((file) => ({ ...file, mode: 0o600 })),
      { content: registriesYaml([...mirrors, config.registry ?? []].flat()), target: '/etc/rancher/k3s/registries.yaml', mode: 0o600 },
      { content: nameservers.map((each) => `nameserver ${each}\n`).join(''), target: RESOLV_CONF, mode: 0o644 },
    ])
    .withEnvironment({ GOGC, ...(nameservers.length === 0 ? {} : { K3S_RESOLV_CONF: RESOLV_CONF }) })
    .withLabels({ [CLUSTER_LABEL]: cluster, [ROLE_LABEL]: role, [CONFIG_LABEL]: JSON.stringify(config) })
}

/** Where CAP_SYS_RESOURCE is withheld from the whole machine, `--privileged` fails: ask for all that is there instead. */
const UNPRIVILEGED = {
  Privileged: false,
  SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
  MaskedPaths: [],
  ReadonlyPaths: [],
  Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/kmsg', CgroupPermissions: 'rwm' }],
  DeviceCgroupRules: ['a *:* rwm'],
}

function hostConfigOf({ privileges }: NodeConfig, { name, folders }: { name: string; folders: Readonly<Record<string, string>> }): object {
  return {
    // The module's bind of the host's cgroups breaks pods on Colima; a namespace of its own keeps the host's tree clean.
    CgroupnsMode: 'private',
    Binds: Object.entries(folders).map(([key, folder]) => `${name}-${key}:${folder}:rw`),
    Tmpfs: { '/run': 'rw', '/var/run': 'rw' },
    Init: false, // the engine may be told to give each container one; this one's first process is its own
    RestartPolicy: { Name: 'unless-stopped' },
    ...(privileges === 'privileged' ? { Privileged: true } : { ...UNPRIVILEGED, CapAdd: CAPABILITIES }),
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

/** In k3s's own format: each upstream registry is asked through ours first, so manifests keep their upstream names. */
function registriesYaml(others: readonly string[]): string {
  const mirrors = Object.fromEntries([...REGISTRIES, ...others].map((host) => [host, { endpoint: [`http://${REGISTRY_ALIAS}:5000`] }]))
  return JSON.stringify({ mirrors })
}
