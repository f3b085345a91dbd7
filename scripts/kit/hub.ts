/** Registries seen from this machine, through the proxy that the environment names; of Docker Hub also what it has left for us. */
import { messageOf } from './errors.ts'
import { ask } from './http.ts'

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
export function reachRegistries(hosts: readonly string[], timeoutMs = 3000): Promise<Reach[]> {
  return Promise.all(hosts.map((host) => reach(host, timeoutMs).catch((thrown) => ({ host, why: messageOf(thrown) }))))
}

async function reach(host: string, timeoutMs: number): Promise<Reach> {
  const beforeMs = Date.now()
  const answer = await ask(`Cannot ask ${host}`, `${host === DOCKER_HUB ? HUB : `https://${host}`}/v2/`, { timeoutMs, accept: 'any' })
  const afterMs = Date.now()
  await answer.body?.cancel()
  const time = answer.headers.get('date')
  return { host, ...(time === null ? {} : { clock: { beforeMs, afterMs, time } }) }
}

/** Why Docker Hub does not answer; undefined where it does. It stands for all where images are pulled or built. */
export async function whyNoRegistry(timeoutMs = 3000): Promise<string | undefined> {
  return (await reachRegistries([DOCKER_HUB], timeoutMs))[0]?.why
}

/** The pulls that are left to this address, as Docker Hub writes them: `76;w=21600`. @returns undefined where it names none */
export async function pullsLeft(timeoutMs = 3000): Promise<string | undefined> {
  const what = 'Cannot ask Docker Hub'
  const { token } = (await (await ask(what, TOKEN, { timeoutMs })).json()) as { token: string }
  const headers = { authorization: `Bearer ${token}` }
  const answer = await ask(what, `${HUB}/v2/${PREVIEW}/manifests/latest`, { timeoutMs, method: 'HEAD', headers, accept: 'any' })
  return answer.status === 429 ? '0' : (answer.headers.get('ratelimit-remaining') ?? undefined)
}
