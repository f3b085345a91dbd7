/** Docker Hub seen from this machine, through the proxy that the environment names. */
import { EnvHttpProxyAgent, request } from 'undici'
import { messageOf } from './errors.ts'

const HUB = 'https://registry-1.docker.io'
/** https://docs.docker.com/docker-hub/usage/pulls/: to be asked for its headers, which costs no pull. */
const PREVIEW = 'ratelimitpreview/test'
const TOKEN = `https://auth.docker.io/token?service=registry.docker.io&scope=repository:${PREVIEW}:pull`

/** Why it does not answer; undefined where it does. Any answer counts, also 401: pulling needs a registry that speaks, not one that knows us. */
export async function whyNoRegistry(timeoutMs = 3000): Promise<string | undefined> {
  return asking(timeoutMs, async (options) => {
    await (await request(`${HUB}/v2/`, options)).body.dump()
    return undefined
  }).catch(messageOf)
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
