/** The clients of AWS's API, each made when it is first asked: credentials and endpoints come from the environment, as AWS's own tools read them. */
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs'
import { EC2Client } from '@aws-sdk/client-ec2'
import { ECRClient } from '@aws-sdk/client-ecr'
import { EKSClient } from '@aws-sdk/client-eks'
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2'
import { ResourceGroupsTaggingAPIClient } from '@aws-sdk/client-resource-groups-tagging-api'
import { S3Client } from '@aws-sdk/client-s3'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { ServiceQuotasClient } from '@aws-sdk/client-service-quotas'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { Failure, messageOf, UserError } from '#kit/errors'

export class Aws {
  readonly region: string
  readonly #made = new Map<unknown, unknown>()

  constructor(region: string) {
    this.region = region
  }

  get ec2(): EC2Client {
    return this.#client(EC2Client)
  }
  get ecr(): ECRClient {
    return this.#client(ECRClient)
  }
  get eks(): EKSClient {
    return this.#client(EKSClient)
  }
  get loadBalancers(): ElasticLoadBalancingV2Client {
    return this.#client(ElasticLoadBalancingV2Client)
  }
  get logs(): CloudWatchLogsClient {
    return this.#client(CloudWatchLogsClient)
  }
  get quotas(): ServiceQuotasClient {
    return this.#client(ServiceQuotasClient)
  }
  get s3(): S3Client {
    return this.#client(S3Client)
  }
  get secrets(): SecretsManagerClient {
    return this.#client(SecretsManagerClient)
  }
  get sts(): STSClient {
    return this.#client(STSClient)
  }
  get tags(): ResourceGroupsTaggingAPIClient {
    return this.#client(ResourceGroupsTaggingAPIClient)
  }

  #client<T>(kind: new (settings: { region: string; maxAttempts: number }) => T): T {
    const known = this.#made.get(kind) as T | undefined
    if (known !== undefined) return known
    const made = new kind({ region: this.region, maxAttempts: MAX_ATTEMPTS })
    const { middlewareStack } = made as unknown as Pick<EC2Client, 'middlewareStack'> // all have one, each typed for its own requests
    middlewareStack.add(
      (next, { commandName }) =>
        (given) =>
          next(given).catch((thrown: unknown) => {
            throw asSentence(thrown, String(commandName))
          }),
      { step: 'initialize' },
    )
    this.#made.set(kind, made)
    return made
  }
}

/** For whoever asks whether something is there, it is no fault that it is not. */
const NOT_THERE = new Set(['ResourceNotFoundException', 'NoSuchKey'])

/** What AWS refuses, and that it cannot be reached, is no bug of ours. */
function asSentence(thrown: unknown, command: string): unknown {
  if (!(thrown instanceof Error) || NOT_THERE.has(thrown.name)) return thrown
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
    const { Account = '', Arn = '' } = await aws.sts.send(new GetCallerIdentityCommand({}))
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
