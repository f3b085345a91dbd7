/** The password of the service's role: one Secret beside the server, one beside the service, and the same in both. */
import { randomBytes } from 'node:crypto'
import type { Cluster, Run } from '#core'
import { readSecret, secret } from '#kit/secret'

export const DATABASE_NAMESPACE = 'database'
/** What the server sets as the role's password at each start. */
const SERVER = { apiVersion: 'v1', kind: 'Secret', name: 'database', namespace: DATABASE_NAMESPACE }
/** What the service connects by, under the key `url`. Its namespace is the service's own. */
export const CLIENT = { apiVersion: 'v1', kind: 'Secret', name: 'service-database', namespace: 'dev' }
const POD = { apiVersion: 'v1', kind: 'Pod', name: 'database-0', namespace: DATABASE_NAMESPACE }
const PASSWORD_BYTES = 32

/** Makes what is missing: one Secret from the other, and a new password only where both are gone. */
export async function preparePassword({ kube }: Pick<Cluster, 'kube'>, { progress }: Pick<Run, 'progress'>): Promise<void> {
  const [server, client] = await Promise.all([kube.get(SERVER), kube.get(CLIENT)])
  const serving = readSecret(server, 'password')
  const known = serving ?? passwordIn(readSecret(client, 'url'))
  const password = known ?? randomBytes(PASSWORD_BYTES).toString('base64url')
  const url = urlOf(password)
  if (serving === undefined) await kube.apply(secret(SERVER, { password }))
  if (readSecret(client, 'url') !== url) await kube.apply(secret(CLIENT, { url }))
  // A server that runs has still the one before; on a new cluster there is none.
  if (known === undefined && (await kube.delete(POD)))
    progress.say('  The database has a new password: restart what uses it, kubectl -n dev rollout restart deployment/service')
}

function urlOf(password: string): string {
  return `postgres://service:${password}@database.${DATABASE_NAMESPACE}.svc.cluster.local:5432/service`
}

/** Only of an address of our own making. */
function passwordIn(url: string | undefined): string | undefined {
  const password = URL.parse(url ?? '')?.password
  return password && url === urlOf(password) ? password : undefined
}
