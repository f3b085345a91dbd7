/** A registry behind a certificate of somebody's own, as where a company opens TLS. It serves what the image store has. */
import { join } from 'node:path'
import { CLUSTER_LABEL, type ContainerInfo, docker, inspect } from '#kit/docker'
import { exec } from '#kit/exec'
import { networkName } from '../../local/node-config.ts'
import { IMAGE_VOLUME, REGISTRY_CONTAINER } from '../../local/registry/registry.ts'

const [CERTIFICATE, KEY] = ['certificate.pem', 'key.pem']
/** In the container. */
const TLS = '/tls'

/** Makes a certificate that vouches for itself. @returns its file, by which it is trusted */
export async function makeCertificate(folder: string, host: string): Promise<string> {
  const names = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`]
  const files = ['-keyout', join(folder, KEY), '-out', join(folder, CERTIFICATE)]
  await exec('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    ...names,
    ...files,
  ])
  return join(folder, CERTIFICATE)
}

export interface TlsRegistry {
  readonly cluster: string
  /** What the cluster's nodes call it. */
  readonly host: string
  /** Holds its certificate. */
  readonly folder: string
}

/** Beside a cluster, until disposal. */
export async function startTlsRegistry({ cluster, host, folder }: TlsRegistry): Promise<AsyncDisposable> {
  const { Image } = (await inspect<ContainerInfo>('container', REGISTRY_CONTAINER)) ?? { Image: '' }
  const name = `holdfast-${cluster}-${host}`
  const volumes = [`${IMAGE_VOLUME}:/var/lib/registry:ro`, `${folder}:${TLS}:ro`].flatMap((volume) => ['--volume', volume])
  const files = { CERTIFICATE, KEY }
  const env = Object.entries(files).flatMap(([variable, file]) => ['--env', `REGISTRY_HTTP_TLS_${variable}=${TLS}/${file}`])
  const network = ['--network', networkName(cluster), '--network-alias', host]
  await docker(['run', '--detach', '--name', name, '--label', `${CLUSTER_LABEL}=${cluster}`, ...network, ...volumes, ...env, Image])
  return { [Symbol.asyncDispose]: async () => void (await docker(['rm', '--force', '--volumes', name])) }
}
