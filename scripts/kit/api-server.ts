/** The way to an API server: a kubeconfig's credentials, over connections that are kept. */
import type { KubeConfig } from '@kubernetes/client-node'
import { type Dispatcher, fetch, type Response } from 'undici'
import { Failure, messageOf } from './errors.ts'

export interface Asked {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
}

/** One connection for each request that is under way. By HTTP/2 all would share one, and one that hangs would have them all hang. */
const http1: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const known: Dispatcher.DispatchOptions & { allowH2: boolean } = { ...options, allowH2: false } // its types lack what its agents take
  return dispatch(known, handler)
}

/** Nine hundred files, half a second: loaded while something else is waited for, and not at all by who asks no cluster. */
export const kubernetesClient = () => import('@kubernetes/client-node')

export class ApiServer {
  /** Rejects where the file cannot be read. */
  readonly config: Promise<KubeConfig>
  /** Kept: the client makes one for each request, and with it a connection, whose handshake takes as long as most answers. */
  #connections: Dispatcher | undefined

  /** @param path of the kubeconfig; it begins to be read at once. */
  constructor(path: string) {
    this.config = readConfig(path)
    this.config.catch(() => {}) // each request says so
  }

  /** That the kubeconfig names. */
  async address(): Promise<string | undefined> {
    return (await this.config).getCurrentCluster()?.server
  }

  /** Any answer, a refusal too; `path` is below the server's address. @throws Failure where nobody answers. */
  async ask(path: string, request: Asked): Promise<Response> {
    const [{ HttpMethod, RequestContext }, config, address] = await Promise.all([kubernetesClient(), this.config, this.address()])
    if (address === undefined) throw new Failure({ what: 'Cannot reach the cluster', why: 'the kubeconfig has no current cluster' })
    const context = new RequestContext(`${address}${path}`, HttpMethod.GET)
    await config.applySecurityAuthentication(context)
    this.#connections ??= context.getDispatcher()?.compose(http1)
    const headers = { ...context.getHeaders(), ...request.headers }
    const dispatcher = this.#connections === undefined ? {} : { dispatcher: this.#connections }
    return fetch(`${address}${path}`, { ...request, headers, ...dispatcher }).catch((thrown) => {
      request.signal.throwIfAborted()
      const why = messageOf((thrown as Error).cause ?? thrown)
      throw new Failure({ what: `Cannot reach the API server at ${address}`, why, next: 'See that the cluster runs' }, thrown)
    })
  }
}

async function readConfig(path: string): Promise<KubeConfig> {
  const { KubeConfig } = await kubernetesClient()
  const config = new KubeConfig()
  config.loadFromFile(path)
  return config
}
