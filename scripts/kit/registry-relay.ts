/** A registry behind TLS and credentials as one on 127.0.0.1 that asks for neither: all else speaks to it as to any other. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fetch } from 'undici'
import { messageOf } from './errors.ts'
import { agentFor } from './http.ts'

/** What one request is sent with. */
export interface Passage {
  /** With its scheme: `https://ghcr.io`. */
  readonly endpoint: string
  /** Path and query there. */
  readonly path: string
  /** The header's value. @default none is sent */
  readonly authorization?: string
}

export type FindPassage = (path: string) => Promise<Passage>

/** Of the connection between two others, and never passed on. */
const OWN_HEADERS = new Set([
  'host',
  'connection',
  'authorization',
  'content-length',
  'transfer-encoding',
  'content-encoding',
  'keep-alive',
])

/** Listens for as long as the command runs, and holds nothing up. @returns host and port. */
export async function openRegistryRelay(find: FindPassage): Promise<string> {
  const server = createServer((request, response) => {
    relay(request, response, find).catch((thrown) => {
      // Half an answer must not look like a whole one.
      if (response.headersSent) return void response.destroy()
      response.writeHead(502, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ errors: [{ code: 'UNKNOWN', message: messageOf(thrown) }] }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function relay(request: IncomingMessage, response: ServerResponse, find: FindPassage): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const { endpoint, path, authorization } = await find(request.url ?? '')
  const kept = Object.entries(request.headers).filter(([name]) => !OWN_HEADERS.has(name)) as [string, string][]
  const length = request.headers['content-length']
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD'
  const url = new URL(`${endpoint}${path}`)
  const answer = await fetch(url, {
    ...agentFor(url),
    method: request.method ?? 'GET',
    headers: {
      ...Object.fromEntries(kept),
      ...(length === undefined ? {} : { 'content-length': length }),
      ...(authorization === undefined ? {} : { authorization }),
    },
    signal: gone.signal, // nobody waits for it any more
    ...(hasBody ? { body: Readable.toWeb(request), duplex: 'half' } : {}),
  })
  const headers = [...answer.headers].filter(([name]) => !OWN_HEADERS.has(name) && name !== 'location')
  const location = answer.headers.get('location')
  response.writeHead(answer.status, {
    ...Object.fromEntries(headers),
    ...lengthOf(answer.headers),
    ...(location === null ? {} : { location: pathOf(location) }),
  })
  if (answer.body === null || request.method === 'HEAD') response.end()
  else await pipeline(Readable.fromWeb(answer.body), response)
}

/** What was decompressed on the way has another length than its header says. */
function lengthOf(headers: { get(name: string): string | null }): Record<string, string> {
  const length = headers.get('content-length')
  return length === null || headers.get('content-encoding') !== null ? {} : { 'content-length': length }
}

/** Where an upload goes on: at the same place of ours. */
function pathOf(location: string): string {
  if (!URL.canParse(location)) return location
  const { pathname, search } = new URL(location)
  return `${pathname}${search}`
}
