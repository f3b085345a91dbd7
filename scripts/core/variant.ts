/** Other versions of what an environment runs, for proofs: in the registry, beside it. */
import { Failure } from '#kit/errors'
import type { ImageRef } from '#kit/registry'
import { type ImageConfig, pushVariant } from '#kit/variant'
import { repositoryAt } from './attestation.ts'
import type { Environment } from './environments.ts'
import type { Context } from './scenario.ts'
import type { Digest } from './types.ts'
import { imageOf, workloadIn } from './workload.ts'

export interface Variant {
  readonly name: string
  readonly change: (config: ImageConfig) => ImageConfig
}

export type RunningImage = ImageRef & { readonly digest: Digest }

/** The image of an environment's workload, where it is pushed. @throws Failure where it runs none by digest */
export async function imageRunning({ cluster }: Pick<Context, 'cluster'>, environment: Environment): Promise<RunningImage> {
  const [repository = '', digest] = imageOf(await cluster.kube.get(workloadIn(environment)))?.split('@') ?? []
  if (digest === undefined) throw new Failure({ what: 'Cannot make a variant of an image', why: `${environment} runs none by digest` })
  return { ...repositoryAt(cluster, repository.slice(repository.indexOf('/') + 1)), digest: digest as Digest }
}

/** Puts a variant of it into the registry. A tag moves with each proof; in ECR none ever does, and a variant is kept without one. */
export async function storeVariant(
  context: Pick<Context, 'cluster'>,
  environment: Environment,
  { name, change }: Variant,
): Promise<Digest> {
  const image = await imageRunning(context, environment)
  const tag = image.tagsMove ? `proof-${name.replaceAll(' ', '-')}` : undefined
  return (await pushVariant(image, tag, change)) as Digest
}

/** A version of its own, that does nothing else. The same mark makes the same version again. */
export const marked =
  (mark: string) =>
  (config: ImageConfig): ImageConfig => ({ ...config, Labels: { ...config.Labels, 'dev.holdfast.proof': mark } })
