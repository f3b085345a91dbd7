/** Raw answers about ports, addresses and what lies between. */
import { rootCertificates } from 'node:tls'
import * as network from '../../../local/doctor/network.ts'
import { type Fixture, fixtures } from './fixture.ts'

const ROUTE_HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const route = (device: string, to: string, mask: string) => `${device}\t${to}\t00000000\t0001\t0\t0\t0\t${mask}\t0\t0\t0\n`
const routes = (...more: readonly string[]) =>
  [ROUTE_HEAD, route('eth0', '00000000', '00000000'), route('docker0', '000011AC', '0000FFFF'), ...more].join('')
/** All of the pools that an engine has by default, as a company's VPN routes them: 172.16.0.0/12 and 192.168.0.0/16. */
const PRIVATE_ROUTES = [route('tun0', '000010AC', '0000F0FF'), route('tun0', '0000A8C0', '0000FFFF')]
/** As a VPN lays them over the default route. */
const HALVES = [route('tun0', '00000000', '00000080'), route('tun0', '00000080', '00000080')]
const BRIDGE = { name: 'bridge', subnets: ['172.17.0.0/16'] }
const OWN = { name: 'holdfast-local', subnets: ['172.18.0.0/16'] }
const OTHER = { name: 'other', subnets: ['172.20.0.0/16'] }
const subnetsOf = (text: string, ...more: readonly (typeof OTHER)[]) => ({
  routes: text,
  networks: [BRIDGE, ...more],
  pools: undefined,
  own: OWN.name,
})
const nginxOn = (port: number) => ({ port, holder: "process 'nginx' (pid 7)" })
const FREE_PORTS = { first: 16_440, last: 16_455, isOwn: false, taken: [], ofRegistry: undefined }
const portsWith = (changes: Partial<Parameters<typeof network.ports.judge>[0]>) => ({ ...FREE_PORTS, ...changes })
/** Docker Hub and two others; each that is named does not answer. */
const registriesBut = (...away: readonly string[]) =>
  ['docker.io', 'ghcr.io', 'quay.io'].map((host) => (away.includes(host) ? { host, why: `getaddrinfo ENOTFOUND ${host}` } : { host }))
const PROXY = 'http://someone:hunter2@proxy.example:3128'

export const NETWORK: readonly Fixture[] = [
  ...fixtures(
    network.ports,
    ['a free block', portsWith({}), 'ok', /16440 to 16455 free/],
    ['the cluster’s own', portsWith({ isOwn: true }), 'ok', /held by the cluster/],
    ['somebody else’s', portsWith({ taken: [nginxOn(16_442)] }), 'bad', /16442 held by process 'nginx'.*--ports-from/s],
    [
      'somebody else’s on the registry’s, which another block does not help',
      portsWith({ ofRegistry: nginxOn(16_430) }),
      'bad',
      /^16430 held by process 'nginx' \(pid 7\)\nStop what holds the registry’s, .*docker rm holdfast-registry$/,
    ],
    [
      'somebody else’s on both',
      portsWith({ taken: [nginxOn(16_442)], ofRegistry: nginxOn(16_430) }),
      'bad',
      /16442 held by .*, 16430 held by .*--ports-from.*\. .*docker rm/s,
    ],
  ),
  ...fixtures(
    network.subnets,
    ['no VPN', subnetsOf(routes()), 'ok', /0 routes to elsewhere/],
    ['a network elsewhere', subnetsOf(routes(route('eth0', '000200C0', '00FFFFFF'))), 'ok', /1 route to elsewhere/],
    [
      'a VPN that takes the registry’s own addresses',
      subnetsOf(routes(route('tun0', '000011AC', '00FFFFFF'))),
      'bad',
      /172\.17\.0\.0\/24 by tun0 is in the network 'bridge'.*default-address-pools/s,
    ],
    [
      'a VPN that takes the nodes’ own addresses',
      subnetsOf(routes(route('tun0', '000012AC', '00FFFFFF')), OWN),
      'bad',
      /172\.18\.0\.0\/24 by tun0 is in the network 'holdfast-local'/,
    ],
    [
      'a VPN that takes those of somebody else’s containers',
      subnetsOf(routes(route('tun0', '000014AC', '00FFFFFF')), OTHER),
      'warn',
      /172\.20\.0\.0\/24 by tun0 meets the network 'other'/,
    ],
    [
      'a VPN that takes pods’ addresses',
      subnetsOf(routes(route('tun0', '0000000A', '000000FF'))),
      'warn',
      /10\.0\.0\.0\/8 by tun0 meets the pods.*10\.42\.0\.0\/16/s,
    ],
    [
      'a VPN around all pools, the network made',
      subnetsOf(routes(...PRIVATE_ROUTES), OWN),
      'warn',
      /172\.16\.0\.0\/12 by tun0 meets the network 'bridge'/,
    ],
    ['the same, and the network to make', subnetsOf(routes(...PRIVATE_ROUTES)), 'bad', /no addresses are left.*docker network ls/s],
    ['a VPN that routes everything', subnetsOf(routes(...HALVES)), 'warn', /a VPN routes all addresses/],
    ['the same, and the network made', subnetsOf(routes(...HALVES), OWN), 'ok', /none clashes/],
  ),
  ...fixtures(
    network.proxy,
    ['none', { env: {}, engine: { HttpProxy: '', HttpsProxy: '', NoProxy: '' } }, 'ok', /none/],
    [
      'both know it',
      { env: { HTTPS_PROXY: PROXY, NO_PROXY: 'localhost,127.0.0.1' }, engine: { HttpsProxy: PROXY } },
      'ok',
      /^proxy\.example:3128, not for loopback$/m,
    ],
    [
      'loopback is not left out',
      { env: { https_proxy: PROXY, no_proxy: '.example' }, engine: { HttpsProxy: PROXY } },
      'warn',
      /^proxy\.example:3128, also for localhost and 127\.0\.0\.1.*export NO_PROXY/ms,
    ],
    [
      'and Node goes by it',
      { env: { HTTPS_PROXY: PROXY, NO_PROXY: 'localhost', NODE_USE_ENV_PROXY: '1' }, engine: { HttpsProxy: PROXY } },
      'bad',
      /also for 127\.0\.0\.1/,
    ],
    [
      'the engine does not know it',
      { env: { HTTPS_PROXY: PROXY, NO_PROXY: '*' }, engine: {} },
      'warn',
      /none for the engine.*daemon\.json/s,
    ],
    [
      'the engine alone knows it',
      { env: {}, engine: { HttpProxy: 'proxy.example:3128' } },
      'warn',
      /proxy\.example:3128 for the engine alone.*export HTTPS_PROXY/s,
    ],
    [
      'no engine, a proxy',
      { env: { HTTPS_PROXY: PROXY, NO_PROXY: 'localhost 127.0.0.0/8' }, engine: undefined },
      'unknown',
      /no engine answers/,
    ],
    ['no engine, none', { env: {}, engine: undefined }, 'unknown', /none here; no engine answers/],
  ),
  ...fixtures(
    network.ca,
    ['none', { files: [] }, 'ok', /none named/],
    [
      'one',
      { files: [{ variable: 'NODE_EXTRA_CA_CERTS', path: '/ca.pem', text: rootCertificates.slice(0, 2).join('\n') }] },
      'ok',
      /2 by NODE_EXTRA_CA_CERTS/,
    ],
    [
      'a file that is not there',
      { files: [{ variable: 'NODE_EXTRA_CA_CERTS', path: '/gone.pem', text: undefined }] },
      'bad',
      /names \/gone\.pem, which cannot be read.*unset NODE_EXTRA_CA_CERTS/s,
    ],
    ['a file without certificates', { files: [{ variable: 'SSL_CERT_FILE', path: '/ca.der', text: '\0' }] }, 'bad', /holds no certificate/],
    [
      'a certificate that is none',
      { files: [{ variable: 'SSL_CERT_FILE', path: '/ca.pem', text: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }] },
      'bad',
      /holds no certificate/,
    ],
    [
      'unknown to Node',
      { files: [{ variable: 'SSL_CERT_FILE', path: '/ca.pem', text: rootCertificates[0] }] },
      'warn',
      /SSL_CERT_FILE alone.*NODE_EXTRA_CA_CERTS="\$SSL_CERT_FILE"/s,
    ],
  ),
  ...fixtures(
    network.registry,
    ['an answer', { registries: registriesBut(), remaining: '76;w=21600', hasImages: false }, 'ok', /all answer, 76 pulls left/],
    ['no limit', { registries: registriesBut(), remaining: undefined, hasImages: false }, 'ok', /names no limit/],
    [
      'none',
      { registries: registriesBut('docker.io', 'ghcr.io', 'quay.io'), remaining: undefined, hasImages: false },
      'warn',
      /none answers: docker\.io \(getaddrinfo ENOTFOUND docker\.io\), ghcr\.io .*building is well/s,
    ],
    [
      'all but Docker Hub, so that images are built',
      { registries: registriesBut('docker.io'), remaining: undefined, hasImages: false },
      'warn',
      /^not reached: docker\.io \(getaddrinfo ENOTFOUND docker\.io\)\n.*building is well/,
    ],
    [
      'Docker Hub without the others, so that pulls fail',
      { registries: registriesBut('ghcr.io', 'quay.io'), remaining: '76;w=21600', hasImages: false },
      'bad',
      /^not reached: ghcr\.io \(.*\), quay\.io \(.*\)\n.*--images build/,
    ],
    [
      'the same, and nothing to pull',
      { registries: registriesBut('quay.io'), remaining: '76;w=21600', hasImages: true },
      'warn',
      /^not reached: quay\.io \(/,
    ],
    ['nearly used up', { registries: registriesBut(), remaining: '3;w=21600', hasImages: false }, 'warn', /3 pulls left.*docker login/s],
    ['used up', { registries: registriesBut(), remaining: '0;w=21600', hasImages: false }, 'bad', /0 pulls left/],
    ['used up, and nothing to pull', { registries: registriesBut(), remaining: '0', hasImages: true }, 'warn', /0 pulls left/],
  ),
]
