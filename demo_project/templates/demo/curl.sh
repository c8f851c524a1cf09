API={{ origin }}/api
JSON='Content-Type: application/json'
field() {
  printf %s "$answer" | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"
}

answer=$(curl -s $API/auth/login/ -H "$JSON" \
  -d '{"username": "ada", "password": "ada-demo", "device": {"name": "My terminal"}}')
curl -s $API/hello/ -H "Authorization: Bearer $(field access_token)"; echo
curl -s $API/auth/sessions/ -H "Authorization: Bearer $(field access_token)"; echo

answer=$(curl -s $API/auth/refresh/ -H "$JSON" \
  -d '{"refresh_token": "'$(field refresh_token)'"}')
curl -s $API/auth/session/ -H "Authorization: Bearer $(field access_token)"; echo

curl -s -w '%{http_code}\n' -X POST $API/auth/logout/ \
  -H "Authorization: Bearer $(field access_token)"
curl -s $API/hello/ -H "Authorization: Bearer $(field access_token)"; echo
