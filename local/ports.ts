/** One block of fixed ports on 127.0.0.1 per cluster: Docker's own choice would change at every restart. */

import { readdir, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { SERVICE_NAMES, type ServiceName } from '#core'
import { docker } from '#kit/docker'
import { UserError } from '#kit/errors'
import { exec } from '#kit/exec'
import { listListeners } from './sockets.ts'

export const DEFAULT_CLUSTER = 'local'
const DEFAULT_PORTS_FROM = 16_440
/** Ports are fixed when the container is created, so some are spare for services to come. */
const BLOCK_SIZE = 16
const FIRST_NODE_PORT = 30080

export interface PortMapping {
  readonly host: number
  readonly container: number
}

/** The API server first, then the services in their order, then spares. */
export function portBlock(from: number): PortMapping[] {
  const api = { host: from, container: 6443 }
  const nodePorts = Array.from({ length: BLOCK_SIZE - 1 }, (_, i) => ({ host: from + 1 + i, container: FIRST_NODE_PORT + 1 + i }))
  return [api, ...nodePorts]
}

/** The node port of a service: 30081 for the first. */
export function nodePortOf(service: ServiceName): number {
  return FIRST_NODE_PORT + 1 + SERVICE_NAMES.indexOf(service)
}

/** The default cluster's block is always the same, so that addresses can be remembered; another one takes the first that is free. */
export async function defaultPortsFrom(cluster: string): Promise<number> {
  if (cluster === DEFAULT_CLUSTER) return DEFAULT_PORTS_FROM
  for (let from = DEFAULT_PORTS_FROM + 1000; from < 60_000; from += 1000) {
    const taken = await Promise.all(portBlock(from).map(async ({ host }) => !(await isFree(host))))
    if (!taken.includes(true)) return from
  }
  throw new UserError({ what: 'Cannot find free ports', why: 'no block from 17440 to 60440 is free', next: 'Name one with --ports-from' })
}

export interface TakenPort {
  readonly port: number
  readonly holder: string
}

/** Those that somebody holds, in order, with who. */
export async function takenPorts(mappings: readonly PortMapping[]): Promise<TakenPort[]> {
  const taken = await Promise.all(
    mappings.map(async ({ host }) => ((await isFree(host)) ? [] : [{ port: host, holder: await holderOf(host) }])),
  )
  return taken.flat()
}

/** @throws UserError naming the first taken port and its holder. */
export async function checkPortsFree(mappings: readonly PortMapping[]): Promise<void> {
  const [first] = await takenPorts(mappings)
  if (first === undefined) return
  const { port, holder } = first
  const next = `Stop it, or choose another block with --ports-from ${port + 1000 - (port % 1000)}`
  throw new UserError({ what: `Cannot use port ${port}`, why: `${holder} holds it`, next })
}

/** The first free port at or above `from`. */
export async function firstFreePort(from: number): Promise<number> {
  for (let port = from; port < from + 100; port++) if (await isFree(port)) return port
  throw new UserError({ what: 'Cannot find a free port', why: `${from} to ${from + 99} are taken` })
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

async function holderOf(port: number): Promise<string> {
  const container = await containerOn(port)
  if (container !== '') return `container '${container}'`
  const pid = process.platform === 'linux' ? await listenerPid(port) : await listenerPidByLsof(port)
  if (pid === undefined) return 'another process'
  const name = (await exec('ps', ['-o', 'comm=', '-p', pid], { accept: [0, 1] })).stdout.trim()
  return `process '${name}' (pid ${pid})`
}

/** An engine that does not run has no container: the port is then held by someone else. */
async function containerOn(port: number): Promise<string> {
  return docker(['ps', '--filter', `publish=${port}`, '--format', '{{.Names}}']).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  )
}

/** /proc says which socket listens; the process that has it open holds the port. */
async function listenerPid(port: number): Promise<string | undefined> {
  const inode = (await listListeners()).find((each) => each.port === port)?.inode
  if (inode === undefined) return undefined
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) === `socket:[${inode}]`) return pid
    }
  }
  return undefined
}

async function listenerPidByLsof(port: number): Promise<string | undefined> {
  const { stdout } = await exec('lsof', ['-t', `-iTCP:${port}`, '-sTCP:LISTEN'], { accept: [0, 1, 127] })
  return stdout.trim().split('\n')[0] || undefined
}
