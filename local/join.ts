/** What another node joins with: good for a few minutes, and for nothing but a node's certificate. */
import { createHash, randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Failure } from '#kit/errors'
import type { Kube } from '#kit/kube'

/** More than a node takes to join, on any machine. */
const LIFETIME_MS = 10 * 60_000
const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const word = (length: number) => Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join('')

export interface JoinToken extends AsyncDisposable {
  /** In k3s's secure form: `K10<hash of the cluster's authority>::<id>.<secret>` (https://docs.k3s.io/cli/token). */
  readonly text: string
}

/** Makes a bootstrap token; disposing takes it back. One that a killed command left runs out by itself. */
export async function makeJoinToken(kube: Kube, kubeconfig: string): Promise<JoinToken> {
  const [id, secret] = [word(6), word(16)]
  const ref = { apiVersion: 'v1', kind: 'Secret', name: `bootstrap-token-${id}`, namespace: 'kube-system' }
  await kube.create({
    apiVersion: ref.apiVersion,
    kind: ref.kind,
    metadata: { name: ref.name, namespace: ref.namespace },
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      description: 'A node joins; local:up takes it back.',
      'token-id': id,
      'token-secret': secret,
      expiration: new Date(Date.now() + LIFETIME_MS).toISOString().replace(/\.\d+Z$/, 'Z'),
      'usage-bootstrap-authentication': 'true',
    },
  })
  return {
    text: `K10${await authorityHash(kubeconfig)}::${id}.${secret}`,
    async [Symbol.asyncDispose]() {
      await kube.delete(ref)
    },
  }
}

/** Of the authority as a PEM file, which is how k3s counts one that signed itself. */
async function authorityHash(kubeconfig: string): Promise<string> {
  const encoded = /certificate-authority-data: (\S+)/.exec(await readFile(kubeconfig, 'utf8'))?.[1]
  if (encoded === undefined)
    throw new Failure({ what: 'Cannot let a node join', why: `${kubeconfig} names no certificate authority`, next: 'Run npm run local:up' })
  return createHash('sha256').update(Buffer.from(encoded, 'base64')).digest('hex')
}
