/** The nodes' containers, through testcontainers, with our own decisions about their lifetime, ports and privileges. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { K3sContainer } from '@testcontainers/k3s'
import { GenericContainer } from 'testcontainers'
import { CLUSTER_LABEL, ROLE_LABEL } from '#kit/docker'
import type { PortMapping } from './ports.ts'
import { REGISTRY_ALIAS } from './registry/registry.ts'

/** All that makes one container differ from another; kept as its label, so that a difference can be named. */
export interface NodeConfig {
  readonly image: string
  readonly args: readonly string[]
  readonly ports: readonly PortMapping[]
  readonly privileges: 'privileged' | 'capabilities'
  /** What this machine calls our registry: images that a tool has pushed to it are named so. Nodes that are older have none. */
  readonly registry?: string
}

/** A node that is to be made. */
export interface NodeSpec {
  readonly cluster: string
  readonly config: NodeConfig
  /** Those that pods can reach; k3s looks for some by itself where there are none. */
  readonly nameservers: readonly string[]
  readonly files: readonly NodeFile[]
  /** Hosts of registries that are asked through ours, beside upstream's. */
  readonly mirrors: readonly string[]
}

/** A file in a container that only root reads. */
export interface NodeFile {
  readonly target: string
  readonly content: string
}

/** For its own order to stop, which takes up to ten. */
export const STOP_S = '20'
export const CONFIG_LABEL = 'holdfast.dev/config'
/** What k3s declares as volumes; ours are named, so that a new container continues with the old data. */
const DATA_FOLDERS = { data: '/var/lib/rancher/k3s', kubelet: '/var/lib/kubelet', cni: '/var/lib/cni', log: '/var/log' }
/** Beside these an agent of k3s keeps the password by which its server knows it again. */
const AGENT_FOLDERS = { ...DATA_FOLDERS, identity: '/etc/rancher/node' }
const REGISTRIES = ['docker.io', 'quay.io', 'public.ecr.aws', 'ghcr.io', 'registry.k8s.io']
const RESOLV_CONF = '/etc/rancher/k3s/resolv.conf'
export const TOKEN_FILE = '/etc/rancher/k3s/join-token'
/**
 * Twice Go's own: while a cluster starts it is the processor that is short. A restore takes 2 s less on two cores than with Go's own, 4 s less
 * than with half of it, and the node 0.45 GiB more than with half.
 */
const GOGC = '200'

/** The container of the server, and its node; an agent's is behind a dot, which no cluster's name has. */
export const containerName = (cluster: string) => `holdfast-${cluster}`
/** @param number from 2: the server is the first */
export const agentName = (cluster: string, number: number) => `${containerName(cluster)}.${number}`
export const networkName = (cluster: string) => `holdfast-${cluster}`
export const volumeNames = (cluster: string) => volumesOf(containerName(cluster), DATA_FOLDERS)
export const agentVolumeNames = (agent: string) => volumesOf(agent, AGENT_FOLDERS)
const volumesOf = (container: string, folders: object) => Object.keys(folders).map((key) => `${container}-${key}`)

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

/** What names the certificates of a company that opens TLS, the first that is set before the others. */
export const CA_VARIABLES = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'] as const
/** Go reads every file of this folder beside the system's bundle: https://pkg.go.dev/crypto/x509#SystemCertPool */
const EXTRA_CA = '/etc/ssl/certs/holdfast-extra-ca.pem'

/**
 * Laid into a node when it is made, for what it pulls past our registry. No part of its settings: with another environment the same
 * cluster is not made anew.
 */
export function extraCa(env: Readonly<Record<string, string | undefined>> = process.env): NodeFile[] {
  const path = CA_VARIABLES.map((variable) => env[variable]).find(Boolean)
  if (path === undefined) return []
  try {
    return [{ content: readFileSync(path, 'utf8'), target: EXTRA_CA }]
  } catch {
    return [] // the doctor's entry 'ca' says so
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
/** Bits as linux/capability.h numbers them. */
const CAPABILITY_BITS = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n, CAP_SYS_RESOURCE: 24n } as const

/** Docker Desktop and its like have a kernel of their own; on Linux this process's bounding set tells. */
export async function canBePrivileged(): Promise<boolean> {
  return process.platform !== 'linux' || hasCapability(await readFile('/proc/self/status', 'utf8'), 'CAP_SYS_RESOURCE')
}

/** Whether a capability is in the bounding set that a text of /proc/<pid>/status has. */
export function hasCapability(status: string, capability: keyof typeof CAPABILITY_BITS): boolean {
  const bounding = /CapBnd:\s*([0-9a-f]+)/.exec(status)?.[1]
  return bounding !== undefined && ((BigInt(`0x${bounding}`) >> CAPABILITY_BITS[capability]) & 1n) === 1n
}

/** In k3s's own format: each upstream registry is asked through ours first, so manifests keep their upstream names. */
function registriesYaml(others: readonly string[]): string {
  const mirrors = Object.fromEntries([...REGISTRIES, ...others].map((host) => [host, { endpoint: [`http://${REGISTRY_ALIAS}:5000`] }]))
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
