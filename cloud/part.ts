/** What a cluster on EKS lacks and the local one brings: a class of volumes, and the key by which Argo CD reads the user's remote. */
import { ARGOCD_NAMESPACE, application, type Cluster, type Part, renderedSource } from '#core'
import { messageOf, UserError } from '#kit/errors'
import type { KubeObject } from '#kit/kube'
import type { Aws } from './aws.ts'
import { readSettings } from './settings.ts'

/** What the service and the database keep is encrypted, and goes with its claim. gp2, which EKS makes, is the default nowhere. */
const STORAGE_CLASS: KubeObject = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: {
    name: 'gp3',
    labels: { 'app.kubernetes.io/part-of': 'holdfast' },
    annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
  },
  provisioner: 'ebs.csi.aws.com',
  parameters: { type: 'gp3', encrypted: 'true' },
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
  allowVolumeExpansion: true,
}

export const storage: Part = {
  name: 'storage',
  only: 'eks',
  namespaces: [],
  images: [],
  rendered: async () => [STORAGE_CLASS],
  applications: (target) => [application({ name: 'storage', namespace: ARGOCD_NAMESPACE, sources: [renderedSource('storage', target)] })],
  scenarios: [],
}

const NAME = 'repository'

/** @param open the account that a cluster's secrets are kept in. */
export function repository(open: () => Aws): Part {
  return {
    name: NAME,
    only: 'eks',
    namespaces: [],
    images: [],
    applications: () => [],
    prepare: (cluster) => giveKey(open, cluster),
    scenarios: [],
  }
}

/** Argo CD's own form: https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories */
async function giveKey(open: () => Aws, { kube }: Cluster): Promise<void> {
  const settings = await readSettings(kube)
  if (settings === undefined) return
  const key = settings.repoSecret === undefined ? {} : await readKey(open(), settings.repoSecret)
  const metadata = { name: NAME, namespace: ARGOCD_NAMESPACE, labels: { 'argocd.argoproj.io/secret-type': 'repository' } }
  await kube.apply({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { type: 'git', url: settings.repo, ...key } })
}

/** A private SSH key as it stands, or `{"username", "password"}`; a read-only one is enough. @throws UserError for anything else */
export async function readKey(aws: Aws, repoSecret: string): Promise<Readonly<Record<string, string>>> {
  const what = `Cannot read the deploy key '${repoSecret}'`
  const { SecretString: content = '' } = await aws.secrets.getSecretValue({ SecretId: repoSecret }).catch((thrown) => {
    const next = `Put it there: aws secretsmanager create-secret --name ${repoSecret} --secret-string file://key`
    throw new UserError({ what, why: messageOf(thrown), next }, thrown)
  })
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(content)) return { sshPrivateKey: content }
  const { username, password } = parsed(content)
  if (username !== undefined && password !== undefined) return { username, password }
  throw new UserError({ what, why: 'it is neither a private key nor {"username": …, "password": …}' })
}

function parsed(content: string): { readonly username?: string; readonly password?: string } {
  try {
    return JSON.parse(content) ?? {}
  } catch {
    return {}
  }
}
