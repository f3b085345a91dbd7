/** The one way to ask over HTTP: through the proxy that the environment names, with an end, and with an error that says who did not answer. */
import { EnvHttpProxyAgent, fetch, type RequestInit, type Response } from 'undici'
import { Failure, messageOf } from './errors.ts'

const TIMEOUT_MS = 30_000

export interface Asking extends Omit<RequestInit, 'dispatcher' | 'signal'> {
  readonly signal?: AbortSignal | undefined
  /** Until all of the answer is there. @default 30 s */
  readonly timeoutMs?: number | undefined
  /** Statuses that are an answer beside a success. @default none */
  readonly accept?: 'any' | readonly number[]
}

/** Nobody answered, or not with what was asked for. */
export class NoAnswer extends Failure {}

/** By what the environment says of proxies. */
const proxied = new Map<string, EnvHttpProxyAgent>()
const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => [name, name.toUpperCase()])

/** What a request is sent with: this machine is asked without a proxy, which would ask itself. */
export function agentFor({ hostname }: URL): Pick<RequestInit, 'dispatcher'> {
  if (/^(127\.|localhost$|\[::1\]$)/.test(hostname)) return {}
  const key = JSON.stringify(PROXY_VARIABLES.map((name) => process.env[name]))
  const dispatcher = proxied.get(key) ?? new EnvHttpProxyAgent()
  proxied.set(key, dispatcher)
  return { dispatcher }
}

/** @param what could not be done without an answer. @throws NoAnswer; the signal's reason when it aborts */
export async function ask(
  what: string,
  to: string | URL,
  { signal, timeoutMs = TIMEOUT_MS, accept = [], ...init }: Asking = {},
): Promise<Response> {
  const url = new URL(to)
  const deadline = AbortSignal.timeout(timeoutMs)
  const limits = AbortSignal.any(signal === undefined ? [deadline] : [deadline, signal])
  const send = async () => fetch(url, { ...init, ...agentFor(url), signal: limits }) // a proxy's address may be none
  const answer = await send().catch((thrown) => {
    signal?.throwIfAborted()
    const why = deadline.aborted ? `does not answer within ${timeoutMs / 1000} s` : `does not answer: ${causeOf(thrown)}`
    throw new NoAnswer({ what, why: `${url.host} ${why}` }, thrown)
  })
  if (answer.ok || accept === 'any' || accept.includes(answer.status)) return answer
  await answer.body?.cancel()
  throw new NoAnswer({ what, why: `${url.host} answered ${answer.status}` })
}

/** `fetch` says no more than that it failed; what did stands below, perhaps once for each address of the host. */
function causeOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return causeOf(thrown.errors[0])
  return thrown instanceof Error && thrown.cause instanceof Error ? causeOf(thrown.cause) : messageOf(thrown)
}
