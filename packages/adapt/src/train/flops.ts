export * from '../method/flops.js'
