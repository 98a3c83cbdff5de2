export * from '../method/method-config.js'
