# It fires always: what ceases to come is the alarm.
rule {
  match {
    name = "Watchdog"
  }
  disable = ["alerts/comparison"]
}
