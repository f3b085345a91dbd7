/** The way to an API server: a kubeconfig's credentials, over connections that are kept. */
import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node'
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

export class ApiServer {
  readonly #config: KubeConfig
  /** Kept: the client makes one for each request, and with it a connection, whose handshake takes as long as most answers. */
  #connections: Dispatcher | undefined

  constructor(config: KubeConfig) {
    this.#config = config
  }

  /** That the kubeconfig names. */
  get address(): string | undefined {
    return this.#config.getCurrentCluster()?.server
  }

  /** Any answer, a refusal too; `path` is below the server's address. @throws Failure where nobody answers. */
  async ask(path: string, request: Asked): Promise<Response> {
    const { address } = this
    if (address === undefined) throw new Failure({ what: 'Cannot reach the cluster', why: 'the kubeconfig has no current cluster' })
    const context = new RequestContext(`${address}${path}`, HttpMethod.GET)
    await this.#config.applySecurityAuthentication(context)
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
