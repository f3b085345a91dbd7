/** What the script uses of k6 1.8's own modules (https://grafana.com/docs/k6/latest/javascript-api/). */

declare module 'k6/http' {
  interface Params {
    readonly headers?: Readonly<Record<string, string>>
    /** Milliseconds. */
    readonly timeout?: number
  }
  interface Response {
    /** 0 where there was no answer. */
    readonly status: number
    /** By their canonical names: `X-Pod`. */
    readonly headers: Readonly<Record<string, string>>
    /** Why there was no answer, or the empty string. */
    readonly error: string
  }
  export function get(url: string, params?: Params): Response
}

declare module 'k6/execution' {
  export const scenario: {
    readonly name: string
    /** Counts from 0 over all virtual users of the scenario. */
    readonly iterationInTest: number
  }
}
