/** Entries about ports, addresses and what lies between this machine and the registries. */
import { X509Certificate } from 'node:crypto'
import { bad, type Finding, fine, unknown, warn } from '#core'
import { type ContainerInfo, inspect } from '#kit/docker'
import { DOCKER_HUB, pullsLeft, type Reach } from '#kit/hub'
import { portsOf } from '../config.ts'
import { CA_VARIABLES, containerName, networkName } from '../node-config.ts'
import { type TakenPort, takenPorts } from '../ports.ts'
import { REGISTRY_CONTAINER, registryPort } from '../registry/registry.ts'
import type { Entry } from './entry.ts'
import { type EngineInfo, type Facts, NO_ENGINE } from './facts.ts'
import { holds, isHalf, overlaps, type Route, routesIn, type Subnet, split, subnetOf } from './subnets.ts'

interface PortsRaw {
  readonly first: number
  readonly last: number
  /** Whether the cluster's own node holds them. */
  readonly isOwn: boolean
  readonly taken: readonly TakenPort[]
  /** The port of our registry, where that does not run and somebody else holds it. */
  readonly ofRegistry: TakenPort | undefined
}

const FREE_BLOCK = 'Stop what holds them, or choose another block with npm run local:up -- --ports-from <port>'
const FREE_REGISTRY = `Stop what holds the registry’s, or let it be made anew at another, with its images: docker rm ${REGISTRY_CONTAINER}`

export const ports: Entry<PortsRaw> = {
  name: 'ports',
  minimum: 'the cluster’s and the registry’s, free or own',
  why: 'A cluster’s addresses stay the same for its life, so that they can be remembered: it takes no other ports by itself',
  fix: FREE_BLOCK,
  symptoms: /port is already allocated|127\.0\.0\.1:\d+: bind: address already in use|EADDRINUSE.*127\.0\.0\.1/i,
  async read({ place, engine }) {
    const { running } = await engine()
    const found = running ? await inspect<ContainerInfo>('container', containerName(place.name)) : undefined
    const ofRegistry = running ? await takenFromRegistry() : undefined
    const block = await portsOf(place, found)
    const numbers = block.map(({ host }) => host)
    const isOwn = found?.State.Running === true
    return { first: Math.min(...numbers), last: Math.max(...numbers), isOwn, taken: isOwn ? [] : await takenPorts(block), ofRegistry }
  },
  judge({ first, last, isOwn, taken, ofRegistry }) {
    const block = `${first} to ${last}`
    const held = [...taken, ...(ofRegistry === undefined ? [] : [ofRegistry])].map(({ port, holder }) => `${port} held by ${holder}`)
    if (ofRegistry !== undefined) return bad(held.join(', '), [...(taken.length > 0 ? [FREE_BLOCK] : []), FREE_REGISTRY].join('. '))
    if (taken.length > 0) return bad(held.join(', '))
    return fine(isOwn ? `${block}, held by the cluster` : `${block} free`)
  },
}

/** Its port was chosen when it was made: one that is yet to be made takes what is free. */
async function takenFromRegistry(): Promise<TakenPort | undefined> {
  const own = await registryPort()
  if (own === undefined || own.isRunning) return undefined
  return (await takenPorts([{ host: own.port, container: own.port }]))[0]
}

interface SubnetsRaw {
  /** /proc/net/route */
  readonly routes: string
  readonly networks: readonly { readonly name: string; readonly subnets: readonly string[] }[]
  readonly pools: EngineInfo['DefaultAddressPools']
  /** The cluster's network, which perhaps has to be made yet. */
  readonly own: string
}

/** As k3s has them by default, and the node that is built here. */
const CLUSTER_SUBNETS = { pods: '10.42.0.0/16', services: '10.43.0.0/16' }
/** https://docs.docker.com/engine/network/#subnet-allocation */
const USUAL_POOLS = [
  { Base: '172.17.0.0/16', Size: 16 },
  { Base: '172.18.0.0/16', Size: 16 },
  { Base: '172.19.0.0/16', Size: 16 },
  { Base: '172.20.0.0/14', Size: 16 },
  { Base: '172.24.0.0/14', Size: 16 },
  { Base: '172.28.0.0/14', Size: 16 },
  { Base: '192.168.0.0/16', Size: 20 },
]

export const subnets: Entry<SubnetsRaw> = {
  name: 'subnets',
  minimum: 'no route into those of engine and cluster',
  why: 'Where a VPN routes the same addresses, packets for a container leave for the VPN, or pods cannot reach what is behind it',
  fix: 'Leave the VPN, or give the engine other addresses: default-address-pools in /etc/docker/daemon.json',
  symptoms: /non-overlapping IPv4 address pool|pool overlaps with other one|all predefined address pools|no available network/i,
  async read(facts) {
    const routes = await facts.text('/proc/net/route')
    if (routes === undefined) throw new Error('only the routes of Linux can be read')
    const { DefaultAddressPools: pools } = await facts.info()
    const networks = await engineNetworks(facts)
    return { routes, networks, pools, own: networkName(facts.place.name) }
  },
  judge({ routes, networks, pools, own }) {
    const known = networks.flatMap(({ name, subnets: texts }) =>
      texts.flatMap((text) => subnetOf(text) ?? []).map((subnet) => ({ name, subnet })),
    )
    const foreign = routesIn(routes).filter(({ to }) => !known.some(({ subnet }) => subnet.first === to.first && subnet.last === to.last))
    const near = foreign.filter(({ to }) => !isHalf(to))
    const stolen = known
      .filter(({ name }) => name === own || name === REGISTRY_NETWORK)
      .flatMap(({ name, subnet }) => near.filter(({ to }) => takesContainers(to, subnet)).map((route) => clash(route, name)))
    if (stolen.length > 0) return bad(stolen.join(', '))
    const isNew = !networks.some(({ name }) => name === own)
    const isFull = (routed: readonly Route[]) =>
      isNew && isExhausted(pools ?? USUAL_POOLS, [...known.map(({ subnet }) => subnet), ...routed.map(({ to }) => to)])
    if (isFull(near)) return bad('no addresses are left for a network of the cluster', FREE_POOL)
    if (isFull(foreign)) return warn('a VPN routes all addresses, and older engines then find none for a network', FREE_POOL)
    return judgeReach(near, known)
  },
}

const FREE_POOL =
  'Remove networks that are not used (docker network ls), leave the VPN, or add default-address-pools in /etc/docker/daemon.json'
/** The engine's usual one, in which our registry begins. */
const REGISTRY_NETWORK = 'bridge'
const clash = ({ to, device }: Route, network: string) => `${to.text} by ${device} is in the network '${network}'`

/** The more specific route wins; an engine gives addresses from the lowest on. */
function takesContainers(to: Subnet, network: Subnet): boolean {
  return holds(network, to) && to.first <= network.first + 255
}

function isExhausted(pools: NonNullable<EngineInfo['DefaultAddressPools']>, taken: readonly Subnet[]): boolean {
  const all = pools.flatMap(({ Base, Size }) => {
    const base = subnetOf(Base)
    return base === undefined ? [] : split(base, Size)
  })
  return all.length > 0 && all.every((each) => taken.some((other) => overlaps(each, other)))
}

/** Nothing of ours breaks, but pods do not reach what is behind these routes. */
function judgeReach(foreign: readonly Route[], known: readonly { readonly name: string; readonly subnet: Subnet }[]): Finding {
  const cluster = Object.entries(CLUSTER_SUBNETS).flatMap(([what, text]) => {
    const subnet = subnetOf(text)
    return subnet === undefined ? [] : [{ name: `the ${what}’ own ${text}`, subnet }]
  })
  const hidden = [...cluster, ...known.map(({ name, subnet }) => ({ name: `the network '${name}'`, subnet }))].flatMap(({ name, subnet }) =>
    foreign.filter(({ to }) => overlaps(to, subnet)).map(({ to, device }) => `${to.text} by ${device} meets ${name}`),
  )
  if (hidden.length > 0) return warn(hidden.join(', '), 'Nothing, unless pods must reach addresses behind that route: then leave the VPN')
  return fine(`${foreign.length === 1 ? '1 route' : `${foreign.length} routes`} to elsewhere, none clashes`)
}

async function engineNetworks({ run }: Facts): Promise<SubnetsRaw['networks']> {
  const ids = (await run('docker', ['network', 'ls', '--quiet', '--filter', 'driver=bridge'])).split('\n').filter(Boolean)
  if (ids.length === 0) return []
  const networks = JSON.parse(await run('docker', ['network', 'inspect', ...ids])) as {
    Name?: string
    IPAM?: { Config?: { Subnet?: string }[] | null }
  }[] // Podman in Docker's place writes them another way
  return networks.map(({ Name = '', IPAM }) => ({ name: Name, subnets: (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []) }))
}

interface ProxyRaw {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Undefined where no engine answers. */
  readonly engine: Pick<EngineInfo, 'HttpProxy' | 'HttpsProxy' | 'NoProxy'> | undefined
}

const PROXY_VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']
const LOOPBACK = '127.0.0.1'

export const proxy: Entry<ProxyRaw> = {
  name: 'proxy',
  minimum: 'none, or the engine’s too, and not for 127.0.0.1',
  why: 'Commands ask the cluster on 127.0.0.1, which a proxy cannot reach; and the engine, which pulls, has settings of its own',
  fix: 'Run: export NO_PROXY=localhost,127.0.0.1,::1 and the same in lower case',
  symptoms: /proxyconnect tcp|proxy authentication required|tunneling socket|proxy response \(\d+\)/i,
  async read({ env, info }) {
    const names = [...PROXY_VARIABLES, 'NO_PROXY', 'no_proxy', 'NODE_USE_ENV_PROXY']
    return { env: Object.fromEntries(names.map((name) => [name, env[name]])), engine: await info().catch(() => undefined) }
  },
  judge({ env, engine }) {
    const own = PROXY_VARIABLES.map((name) => env[name]).find(Boolean)
    if (own === undefined) return judgeWithout(engine)
    const leftOut = ['localhost', LOOPBACK].filter((host) => !isExcepted(host, env.NO_PROXY || env.no_proxy || ''))
    if (leftOut.length > 0) return (env.NODE_USE_ENV_PROXY === '1' ? bad : warn)(`${hostOf(own)}, also for ${leftOut.join(' and ')}`)
    if (engine === undefined) return unknown(`${hostOf(own)} here; ${NO_ENGINE}`)
    return proxyOf(engine) ? fine(`${hostOf(own)}, not for loopback`) : warn(`${hostOf(own)} here, none for the engine`, ENGINE_PROXY)
  },
}

/** Where commands have none. */
function judgeWithout(engine: ProxyRaw['engine']): Finding {
  if (engine === undefined) return unknown(`none here; ${NO_ENGINE}`)
  const theirs = proxyOf(engine)
  return theirs ? warn(`${hostOf(theirs)} for the engine alone`, OWN_PROXY) : fine('none')
}

const proxyOf = ({ HttpsProxy, HttpProxy }: NonNullable<ProxyRaw['engine']>) => HttpsProxy || HttpProxy
const OWN_PROXY = 'Tell commands too: export HTTPS_PROXY=<the engine’s> NO_PROXY=localhost,127.0.0.1,::1'
const ENGINE_PROXY = 'Tell the engine too: proxies in /etc/docker/daemon.json, or the settings of Docker Desktop'

function isExcepted(host: string, list: string): boolean {
  const forms = ['*', host, ...(host === LOOPBACK ? ['127.0.0.0/8', '127.0.0.1/8', '127.0.0.1/32'] : [`.${host}`])]
  return list.split(/[\s,]+/).some((each) => forms.includes(each))
}

/** Without the password that an address may hold. */
function hostOf(address: string): string {
  const url = URL.parse(address.includes('://') ? address : `http://${address}`)
  return url === null ? 'a proxy whose address cannot be read' : url.host
}

interface CaRaw {
  /** What a variable names, with the file's text; undefined where it cannot be read. */
  readonly files: readonly { readonly variable: string; readonly path: string; readonly text: string | undefined }[]
}

export const ca: Entry<CaRaw> = {
  name: 'ca',
  minimum: 'each file that is named has certificates',
  why: 'Where a company opens TLS, nothing is pulled or fetched unless its authority is known: to Node by NODE_EXTRA_CA_CERTS, which goes into the node too',
  fix: 'Run: export NODE_EXTRA_CA_CERTS=<PEM file of your company’s authority>, add it to the system’s store for the engine, and make the cluster anew',
  symptoms:
    /x509: certificate signed by unknown authority|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT|self[- ]signed certificate|unable to (get local issuer|verify the first) certificate/i,
  async read({ env, text }) {
    const named = CA_VARIABLES.flatMap((variable) => (env[variable] ? [{ variable, path: env[variable] }] : []))
    return { files: await Promise.all(named.map(async (each) => ({ ...each, text: await text(each.path) }))) }
  },
  judge({ files }) {
    if (files.length === 0) return fine('none named: what system and Node bring')
    const broken = files.find(({ text }) => certificatesIn(text) === 0)
    if (broken !== undefined) return bad(brokenCa(broken), `Mend or unset ${broken.variable}`)
    const variables = files.map(({ variable }) => variable)
    if (!variables.includes('NODE_EXTRA_CA_CERTS'))
      return warn(`${variables.join(', ')} alone`, `Run: export NODE_EXTRA_CA_CERTS="$${variables[0]}", as Node reads no other`)
    return fine(files.map(({ variable, text }) => `${certificatesIn(text)} by ${variable}`).join(', '))
  },
}

const brokenCa = ({ variable, path, text }: CaRaw['files'][number]) =>
  text === undefined ? `${variable} names ${path}, which cannot be read` : `${variable} names ${path}, which holds no certificate`

function certificatesIn(text = ''): number {
  return (text.match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs) ?? []).filter(isCertificate).length
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

interface RegistryRaw {
  readonly registries: readonly Reach[]
  /** As Docker Hub writes it: `76;w=21600`, what is left in so many seconds. Undefined where it does not say. */
  readonly remaining: string | undefined
  /** Whether the images are there already. */
  readonly hasImages: boolean
}

/** As many as a bare machine pulls from Docker Hub. */
const FEW_PULLS = 10
/** Beside what is asked before it, within what a look gets. */
const PULLS_MS = 1_500

export const registry: Entry<RegistryRaw> = {
  name: 'registry',
  minimum: `those of the images answer, ${FEW_PULLS} pulls left`,
  why: 'Without Docker Hub images are built from source, which takes a quarter of an hour the first time; with it all are pulled, each from its own',
  fix: 'Nothing, where building is well; else let this machine and the engine reach the registries, Docker Hub as registry-1.docker.io',
  symptoms: /toomanyrequests|pull rate limit|registry-1\.docker\.io.*(timeout|no such host|refused|429)/i,
  read: async (facts) => {
    const registries = await facts.registries()
    return {
      registries,
      remaining: hubOf(registries)?.why === undefined ? await pullsLeft(PULLS_MS).catch(() => undefined) : undefined,
      hasImages: await facts.hasImages(),
    }
  },
  judge({ registries, remaining, hasImages }) {
    const away = registries.filter(({ why }) => why !== undefined)
    const told = away.map(({ host, why }) => `${host} (${why})`).join(', ')
    if (away.length === registries.length) return warn(`none answers: ${told}`)
    if (hubOf(away) !== undefined) return warn(`not reached: ${told}`)
    if (away.length > 0) return (hasImages ? warn : bad)(`not reached: ${told}`, REACH_ALL)
    return judgePulls({ remaining, hasImages })
  },
}

const hubOf = (registries: readonly Reach[]) => registries.find(({ host }) => host === DOCKER_HUB)
const REACH_ALL = 'Let this machine and the engine reach them too, or use npm run local:up -- --images build'

function judgePulls({ remaining, hasImages }: Pick<RegistryRaw, 'remaining' | 'hasImages'>): Finding {
  if (remaining === undefined) return fine('all answer, and Docker Hub names no limit')
  const left = Number.parseInt(remaining, 10)
  const found = `all answer, ${left} pulls left at Docker Hub`
  if (left >= FEW_PULLS) return fine(found)
  return (left === 0 && !hasImages ? bad : warn)(found, 'Run: docker login, wait some hours, or use npm run local:up -- --images build')
}
