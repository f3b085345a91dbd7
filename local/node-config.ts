/** What a node's container is made with and what it is called: all that can be said of one without making it. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { PortMapping } from './ports.ts'

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
export const TOKEN_FILE = '/etc/rancher/k3s/join-token'
/** What k3s declares as volumes; ours are named, so that a new container continues with the old data. */
export const DATA_FOLDERS = { data: '/var/lib/rancher/k3s', kubelet: '/var/lib/kubelet', cni: '/var/lib/cni', log: '/var/log' }
/** Beside these an agent of k3s keeps the password by which its server knows it again. */
export const AGENT_FOLDERS = { ...DATA_FOLDERS, identity: '/etc/rancher/node' }

/** The container of the server, and its node; an agent's is behind a dot, which no cluster's name has. */
export const containerName = (cluster: string) => `holdfast-${cluster}`
/** @param number from 2: the server is the first */
export const agentName = (cluster: string, number: number) => `${containerName(cluster)}.${number}`
export const networkName = (cluster: string) => `holdfast-${cluster}`
export const volumeNames = (cluster: string) => volumesOf(containerName(cluster), DATA_FOLDERS)
export const agentVolumeNames = (agent: string) => volumesOf(agent, AGENT_FOLDERS)
const volumesOf = (container: string, folders: object) => Object.keys(folders).map((key) => `${container}-${key}`)

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
