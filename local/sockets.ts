/** Who listens on this machine, by the kernel's tables: https://docs.kernel.org/networking/proc_net_tcp.html */
import { readFile } from 'node:fs/promises'

export interface Listener {
  /** In hex as the kernel writes it, each word in the machine's order: `0100007F` is 127.0.0.1. */
  readonly addressHex: string
  readonly port: number
  readonly inode: string
}

const LISTEN = '0A'
/** 127.0.0.0/8, ::1, and 127.0.0.0/8 within IPv6, on machines whose lowest byte comes first. */
const LOOPBACK = /^(.{6}7F|0{24}01000000|0{16}FFFF0000.{6}7F)$/

/** Every TCP socket that listens; none where there is no /proc. */
export async function listListeners(): Promise<Listener[]> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/net/${table}`, 'utf8').catch(() => '')))
  return tables.flatMap(listenersIn)
}

/** Those of one table. */
export function listenersIn(table: string): Listener[] {
  const rows = table.split('\n').map((line) => line.trim().split(/\s+/))
  return rows.flatMap(([, local = '', , state, , , , , , inode = '']) => {
    const [addressHex = '', port = ''] = local.split(':')
    return state === LISTEN ? [{ addressHex, port: Number.parseInt(port, 16), inode }] : []
  })
}

/** Ports that can be reached from elsewhere, in order. */
export async function portsBeyondLoopback(): Promise<number[]> {
  const found = (await listListeners()).filter(({ addressHex }) => !LOOPBACK.test(addressHex))
  return [...new Set(found.map(({ port }) => port))].toSorted((a, b) => a - b)
}
