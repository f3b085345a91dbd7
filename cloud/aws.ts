/** The clients of AWS's API, each made when it is first asked: credentials and endpoints come from the environment, as AWS's own tools read them. */
import { createRequire } from 'node:module'
import type { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs'
import type { EC2 } from '@aws-sdk/client-ec2'
import type { ECR } from '@aws-sdk/client-ecr'
import type { EKS } from '@aws-sdk/client-eks'
import type { ElasticLoadBalancingV2 } from '@aws-sdk/client-elastic-load-balancing-v2'
import type { ResourceGroupsTaggingAPI } from '@aws-sdk/client-resource-groups-tagging-api'
import type { S3 } from '@aws-sdk/client-s3'
import type { SecretsManager } from '@aws-sdk/client-secrets-manager'
import type { ServiceQuotas } from '@aws-sdk/client-service-quotas'
import type { STS } from '@aws-sdk/client-sts'
import { Failure, messageOf, UserError } from '#kit/errors'

/** Together a third of a second, which no command waits for that asks AWS nothing. */
const load = createRequire(import.meta.url)

export class Aws {
  readonly region: string
  readonly #made = new Map<string, unknown>()

  constructor(region: string) {
    this.region = region
  }

  get ec2(): EC2 {
    return this.#client('@aws-sdk/client-ec2', 'EC2')
  }
  get ecr(): ECR {
    return this.#client('@aws-sdk/client-ecr', 'ECR')
  }
  get eks(): EKS {
    return this.#client('@aws-sdk/client-eks', 'EKS')
  }
  get loadBalancers(): ElasticLoadBalancingV2 {
    return this.#client('@aws-sdk/client-elastic-load-balancing-v2', 'ElasticLoadBalancingV2')
  }
  get logs(): CloudWatchLogs {
    return this.#client('@aws-sdk/client-cloudwatch-logs', 'CloudWatchLogs')
  }
  get quotas(): ServiceQuotas {
    return this.#client('@aws-sdk/client-service-quotas', 'ServiceQuotas')
  }
  get s3(): S3 {
    return this.#client('@aws-sdk/client-s3', 'S3')
  }
  get secrets(): SecretsManager {
    return this.#client('@aws-sdk/client-secrets-manager', 'SecretsManager')
  }
  get sts(): STS {
    return this.#client('@aws-sdk/client-sts', 'STS')
  }
  get tags(): ResourceGroupsTaggingAPI {
    return this.#client('@aws-sdk/client-resource-groups-tagging-api', 'ResourceGroupsTaggingAPI')
  }

  #client<T>(from: string, name: string): T {
    const known = this.#made.get(name) as T | undefined
    if (known !== undefined) return known
    const made = new (load(from)[name])({ region: this.region, maxAttempts: MAX_ATTEMPTS })
    const { middlewareStack } = made as Pick<EC2, 'middlewareStack'> // all have one, each typed for its own requests
    middlewareStack.add(
      (next, { commandName }) =>
        (given) =>
          next(given).catch((thrown: unknown) => {
            throw asSentence(thrown, String(commandName))
          }),
      { step: 'initialize' },
    )
    this.#made.set(name, made)
    return made
  }
}

const NOT_THERE = ['ResourceNotFoundException', 'NoSuchKey']

/** For whoever asks whether something is there, it is no fault that it is not. */
export const isNotThere = (thrown: unknown) => thrown instanceof Error && NOT_THERE.includes(thrown.name)

/** What AWS refuses, and that it cannot be reached, is no bug of ours. */
function asSentence(thrown: unknown, command: string): unknown {
  if (!(thrown instanceof Error) || isNotThere(thrown)) return thrown
  const request = command.replace(/Command$/, '')
  const what = '$fault' in thrown ? `AWS refuses ${request}` : `AWS cannot be asked for ${request}`
  return new Failure({ what, why: messageOf(thrown) }, thrown)
}

const MAX_ATTEMPTS = 5

export interface Caller {
  readonly account: string
  /** Of the role or user, as an access entry names it: a session's own ARN is of no use there. */
  readonly arn: string
}

/** @throws UserError where there are no credentials, or none that AWS takes. */
export async function callerOf(aws: Aws): Promise<Caller> {
  try {
    const { Account = '', Arn = '' } = await aws.sts.getCallerIdentity({})
    return { account: Account, arn: principalOf(Arn) }
  } catch (thrown) {
    const why = messageOf(thrown instanceof Failure ? thrown.cause : thrown)
    const isNowhere = /ENOTFOUND|EAI_AGAIN/.test(why)
    const next = isNowhere
      ? `Is there a network, and a region '${aws.region}'?`
      : 'Log in as you do for the AWS CLI, and try: aws sts get-caller-identity'
    throw new UserError({ what: 'Cannot use AWS', why, next }, thrown)
  }
}

/** `arn:aws:sts::1:assumed-role/operator/session` is a session of `arn:aws:iam::1:role/operator`; a path of the role is not in it. */
export function principalOf(arn: string): string {
  const [, partition, account, role] = /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(arn) ?? []
  return role === undefined ? arn : `arn:${partition}:iam::${account}:role/${role}`
}
