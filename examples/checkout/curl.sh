#!/bin/sh
# A purchase through a gateway with curl: decided, sent again, sent with another amount, looked up, captured.
#   STOPBANK_URL=http://127.0.0.1:8080 STOPBANK_KEY=sb_... examples/checkout/curl.sh
set -eu
: "${STOPBANK_URL:?where the gateway is, e.g. http://127.0.0.1:8080}"
: "${STOPBANK_KEY:?an API key with the scope decide}"
# Ids hold no long run of digits: one that passes for a card number is refused.
transaction="t-$(date -u +%H%M%S)-curl-$$"

# The key comes by standard input, so that no list of processes shows it.
# The deadline is for the gateway to keep; --max-time is for when it can't be reached at all.
deadline_ms=100
stopbank() {
  method=$1 path=$2
  shift 2
  printf 'header = "Authorization: Bearer %s"\n' "$STOPBANK_KEY" |
    curl --config - --silent --show-error --max-time 5 --request "$method" \
      --header 'Content-Type: application/json' --header "Stopbank-Deadline-Ms: $deadline_ms" \
      --write-out '\n%{http_code}\n' "$@" "$STOPBANK_URL$path"
}

purchase() {
  cat <<JSON
{"transaction_id": "$transaction", "account_id": "a-curl", "amount": $1, "currency": "CNY",
 "event_time": "$now", "merchant_id": "m-1001", "mcc": "5411", "device_id": "d-curl", "ip": "203.0.113.9"}
JSON
}

# The body, then the status in a line of its own.
expect() {
  wanted=$1 what=$2 answer=$3
  status=$(printf '%s\n' "$answer" | tail -n 1)
  printf '%s: %s\n' "$what" "$answer"
  case " $wanted " in
    *" $status "*) ;;
    *) printf 'expected one of %s\n' "$wanted" >&2 && exit 1 ;;
  esac
}

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
expect 200 'decided' "$(stopbank POST /v1/decisions --data "$(purchase 19900)")"
expect 200 'the same again' "$(stopbank POST /v1/decisions --data "$(purchase 19900)")"
# From here on each step needs the stream's own answer: a degraded one, in a hurry, can't tell of a conflict.
deadline_ms=4000
expect 409 'another amount' "$(stopbank POST /v1/decisions --data "$(purchase 29900)")"
expect 200 'looked up' "$(stopbank GET "/v1/decisions/$transaction?account_id=a-curl")"
# 200 applied, 202 kept and not answered yet, 409 where the purchase was blocked.
expect '200 202 409' 'captured' \
  "$(stopbank POST "/v1/purchases/$transaction/capture" --data '{"account_id": "a-curl"}')"
