/** The one credential that may write to the Git server. */
import { createHash, randomBytes } from 'node:crypto'

export interface Credential {
  readonly user: string
  readonly password: string
  /** The line of the server's password file: a hash only. */
  readonly htpasswd: string
}

const PASSWORD_BYTES = 32

/** Plain SHA-1 is enough here, and Node makes it by itself: nobody guesses 256 random bits, so a slow hash guards nothing more. */
export function writeCredential(user = 'holdfast'): Credential {
  const password = randomBytes(PASSWORD_BYTES).toString('base64url')
  return { user, password, htpasswd: `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}\n` }
}
