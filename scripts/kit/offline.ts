/** Whether this process may ask anything beyond this machine. */

let isForbidden = false

/** From now on nothing is fetched: what is not here is missing. Go does the same. */
export function forbidNetwork(): void {
  isForbidden = true
  process.env.GOPROXY = 'off'
  process.env.GOTOOLCHAIN = 'local'
}

export const isOffline = () => isForbidden
