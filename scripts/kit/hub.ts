/** Registries seen from this machine, through the proxy that the environment names; of Docker Hub also what it has left for us. */
import { EnvHttpProxyAgent, request } from 'undici'
import { messageOf } from './errors.ts'

/** What names of images call Docker Hub. */
export const DOCKER_HUB = 'docker.io'
const HUB = 'https://registry-1.docker.io'
/** https://docs.docker.com/docker-hub/usage/pulls/: to be asked for its headers, which costs no pull. */
const PREVIEW = 'ratelimitpreview/test'
const TOKEN = `https://auth.docker.io/token?service=registry.docker.io&scope=repository:${PREVIEW}:pull`

/** A time that a clock elsewhere told, and between which two of ours. */
export interface ClockReading {
  readonly beforeMs: number
  readonly afterMs: number
  readonly time: string
}

/** Whether a registry answers. */
export interface Reach {
  /** As names of images begin. */
  readonly host: string
  /** Why it does not; undefined where it does. */
  readonly why?: string
  /** Its time, to the second, where it tells it. */
  readonly clock?: ClockReading
}

/** Asks all of them side by side. Any answer counts, also 401: pulling needs a registry that speaks, not one that knows us. */
export async function reachRegistries(hosts: readonly string[], timeoutMs = 3000): Promise<Reach[]> {
  const away = (thrown: unknown) => (host: string) => ({ host, why: messageOf(thrown) })
  return asking(timeoutMs, (options) => Promise.all(hosts.map((host) => reach(host, options).catch((thrown) => away(thrown)(host))))).catch(
    (thrown) => hosts.map(away(thrown)),
  ) // a proxy whose address is none
}

async function reach(host: string, options: Asking): Promise<Reach> {
  const beforeMs = Date.now()
  const { body, headers } = await request(`${host === DOCKER_HUB ? HUB : `https://${host}`}/v2/`, options)
  const afterMs = Date.now()
  await body.dump()
  return { host, ...(headers.date === undefined ? {} : { clock: { beforeMs, afterMs, time: String(headers.date) } }) }
}

/** Why Docker Hub does not answer; undefined where it does. It stands for all where images are pulled or built. */
export async function whyNoRegistry(timeoutMs = 3000): Promise<string | undefined> {
  return (await reachRegistries([DOCKER_HUB], timeoutMs))[0]?.why
}

/** The pulls that are left to this address, as Docker Hub writes them: `76;w=21600`. @returns undefined where it names none */
export async function pullsLeft(timeoutMs = 3000): Promise<string | undefined> {
  return asking(timeoutMs, async (options) => {
    const { token } = (await (await request(TOKEN, options)).body.json()) as { token: string }
    const headers = { authorization: `Bearer ${token}` }
    const answer = await request(`${HUB}/v2/${PREVIEW}/manifests/latest`, { ...options, method: 'HEAD', headers })
    await answer.body.dump()
    const left = answer.headers['ratelimit-remaining']
    return answer.statusCode === 429 ? '0' : left?.toString()
  })
}

type Asking = Pick<NonNullable<Parameters<typeof request>[1]>, 'dispatcher' | 'signal'>

async function asking<T>(timeoutMs: number, ask: (options: Asking) => Promise<T>): Promise<T> {
  const dispatcher = new EnvHttpProxyAgent()
  try {
    return await ask({ dispatcher, signal: AbortSignal.timeout(timeoutMs) })
  } finally {
    await dispatcher.destroy()
  }
}
